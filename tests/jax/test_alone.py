"""Code of one framework is checked where another one is not installed, and numpy has bfloat16 by ml_dtypes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from asked import CODE

import normcheck

HIDDEN = """
import sys

sys.modules |= dict.fromkeys({hidden!r})  # they cannot be imported, nor found
import normcheck

for target in {targets!r}:
    verdict = normcheck.check(target, as_="layer_norm", effort="smoke")
    assert verdict.ok, str(verdict)
print([name for name in {watched!r} if sys.modules.get(name)])
"""

NUMPY, JAX = f"{CODE}/narrow.py:right", f"{CODE}/right.py:layer_norm"


def _run(hidden: list[str], targets: list[str], watched: list[str]) -> subprocess.CompletedProcess[str]:
    code = HIDDEN.format(hidden=hidden, targets=targets, watched=watched)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("hidden", "targets", "imported"), [
    (["torch"], [NUMPY, JAX], ["jax"]),
    (["torch", "jax"], [NUMPY], []),
])  # fmt: skip
def test_only_targets_of_a_framework_need_it(hidden: list[str], targets: list[str], imported: list[str]) -> None:
    done = _run(hidden, targets, ["torch", "jax"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(imported)


def test_a_framework_that_is_hidden_is_missed_by_its_own_targets() -> None:
    """So that the test above can fail."""
    done = _run(["jax"], [JAX], [])
    assert done.returncode == 1
    assert "jax" in done.stderr.splitlines()[-1]


def test_code_of_numpy_that_imports_ml_dtypes_is_checked_in_bfloat16() -> None:
    verdict = normcheck.check(NUMPY, as_="layer_norm", effort="quick")
    assert verdict.ok, str(verdict)
    assert verdict.formats["bfloat16"] == "right"


def test_what_is_wrong_in_bfloat16_alone_is_found() -> None:
    verdict = normcheck.check(f"{CODE}/narrow.py:truncated", as_="layer_norm", effort="quick")
    assert {one.case["format"] for one in verdict.findings} == {"bfloat16"}
