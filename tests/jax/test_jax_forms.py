"""Forms of code of JAX: what is declared is checked, and each fault has one cause, by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

import normcheck

CODE = Path(__file__).parent / "code" / "formed.py"


def checked(name: str, form: str) -> normcheck.Verdict:
    return normcheck.check(f"{CODE}:{name}", as_="rms_norm", effort="quick", contract={"form": form})


@pytest.mark.parametrize(("name", "form"), [("add_rms_norm", "add"), ("gated", "gate")])
def test_right(name: str, form: str) -> None:
    assert checked(name, form).ok


@pytest.mark.parametrize(
    ("name", "form", "cause"),
    [("old_residual", "add", "new-residual-without-input"), ("gate_is_stopped", "gate", "gate-without-gradient")],
)
def test_wrong(name: str, form: str, cause: str) -> None:
    assert [one["name"] for one in checked(name, form).causes] == [cause]
