"""Forms of code of JAX: what is declared is checked, and each fault has one cause, by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

import normcheck

CODE = Path(__file__).parent / "code" / "formed.py"


def checked(name: str, form: str) -> normcheck.Verdict:
    kind = "instance_norm" if form == "packed" else "rms_norm"
    return normcheck.check(f"{CODE}:{name}", as_=kind, effort="quick", contract={"form": form})


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("add_rms_norm", "add"),
        ("gated", "gate"),
        ("bias_add_rms_norm", "add+branch-bias"),
        ("packed_instance_norm", "packed"),
        ("qk_norm_rope", "qk+rotary"),
    ],
)
def test_right(name: str, form: str) -> None:
    assert checked(name, form).ok


@pytest.mark.parametrize(
    ("name", "form", "cause"),
    [
        ("old_residual", "add", "new-residual-without-input"),
        ("gate_is_stopped", "gate", "gate-without-gradient"),
        ("bias_is_stopped", "add+branch-bias", "branch-bias-without-gradient"),
        ("boundaries_not_read", "packed", "statistics-over-all-sequences"),
        ("keys_not_turned", "qk+rotary", "rotary-of-queries-alone"),
    ],
)
def test_wrong(name: str, form: str, cause: str) -> None:
    assert [one["name"] for one in checked(name, form).causes] == [cause]
