"""Functions of arrays that belong to no framework: by DLPack, and by the namespace of their input."""

from __future__ import annotations

from pathlib import Path

import pytest

import normcheck

CODE = Path(__file__).parent / "user_code" / "arrays"

WRONG = (
    ("norms.py:one_pass", "value", "one-pass-variance"),
    ("norms.py:eps_outside", "conventions", "eps-outside-root"),
    ("namespace.py:unbiased", "conventions", "variance-unbiased"),
)


@pytest.mark.parametrize("name", ["norms.py:right", "namespace.py:right"])
def test_right_code_passes_in_the_formats_of_numpy(name: str) -> None:
    verdict = normcheck.check(f"{CODE}/{name}", as_="layer_norm", effort="quick")
    assert verdict.ok, str(verdict)
    assert {"float64", "float32", "float16"} <= set(verdict.formats)
    assert verdict.gradient == "none"


@pytest.mark.parametrize(("name", "check", "fault"), WRONG)
def test_wrong_code_is_found(name: str, check: str, fault: str) -> None:
    verdict = normcheck.check(f"{CODE}/{name}", as_="layer_norm", effort="quick")
    assert check in [one.check for one in verdict.findings]
    assert any(fault in one for one in verdict.diagnosis), verdict.diagnosis
