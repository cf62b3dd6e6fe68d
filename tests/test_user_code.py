"""Code as users write it, in files of their own: the right passes in every style, the wrong fails for its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sweeps import sweep

from normcheck.core.claim import Implementation
from normcheck.core.result import FAILED, PASSED
from normcheck.engine.search import Effort, search
from normcheck.families import CHECKS, CHECKS_BY_NAME
from normcheck.families import bind as subject
from normcheck.normalizers import faults
from normcheck.normalizers.faults import translated
from normcheck.normalizers.sampling.space import formats

HERE = Path(__file__).parent
CORRECT = json.loads((HERE / "user_code" / "correct.json").read_text())
WRONG = json.loads((HERE / "user_code" / "wrong.json").read_text())
KILLS = (HERE / "kill_matrix.txt").read_text().splitlines()

ISSUE = (
    "variance-unbiased", "eps-outside-root", "eps-hard-coded", "one-pass-variance-clamped", "padded-lanes-in-variance",
    "mean-term-missing", "variance-term-missing", "dweight-from-x", "affine-ignored", "statistics-from-row-0",
    "float64-in-float32", "half-accumulator",
)  # fmt: skip

WARNS = ("float64-in-float32",)
"""Of these, what is a warning."""

LARGE = ("every-number-of-sets", "every-width", "batch-invariance")
"""Checks of many sizes, which take a minute where code loops over cases or members in Python."""


def bound(one: dict[str, Any]):
    return subject(Implementation(one["kind"], str(HERE.parent / one["target"]), one.get("contract", {})))


def name(one: dict[str, str]) -> str:
    return f"{one['kind']}-{Path(one['target']).name}"


@sweep("one", CORRECT, of=8, group=lambda one: one["target"].partition(":")[0], ids=name)
def test_correct(one: dict[str, str]) -> None:
    """Every law holds, in the style that this code is written in."""
    mine = bound(one)
    asked = 0
    for check in CHECKS:
        if check.concerns(mine.normalizer) and not check.lacks(mine) and formats(check.space, mine.domain):
            if check.least == "deep" or (one.get("loops") and check.name in LARGE):
                continue  # compiling takes seconds for each case
            outcome = search(mine, check, Effort(4))
            asked += outcome.status == PASSED

            assert outcome.finding is None, check.name
            assert outcome.status == PASSED or outcome.absent, check.name  # what it does not offer, it refuses
    assert asked > 10


@pytest.mark.parametrize("one", WRONG, ids=lambda one: f"{one['fault']}-{name(one)}")
def test_wrong(one: dict[str, Any]) -> None:
    """The check that exists for this fault finds it, whatever else finds it too."""
    mine = bound(one)

    assert search(mine, CHECKS_BY_NAME[one["check"]], Effort(20, shrinks=False)).status == FAILED


def test_every_fault_is_written() -> None:
    """Those of programs made of the code have code and tests of their own: a compiler takes seconds for each."""
    assert {one["fault"] for one in WRONG} == set(faults.ALL) - {fault.name for fault in translated.FAULTS}


@pytest.mark.parametrize(("strict", "names"), [(False, ISSUE), (True, WARNS)])
def test_exit_status(strict: bool, names: tuple[str, ...]) -> None:
    """The classics end a run with exit status 1 and the verdict failed, each of them; what is a warning if strict."""
    chosen = {fault: next(one for one in WRONG if one["fault"] == fault) for fault in names}
    args = [word for one in chosen.values() for word in ("--norm", f"{one['kind']}={one['target']}")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--norm-effort", "quick", *args,
         *(["--norm-strict"] if strict else []),
         "--norm-json", "/dev/stderr"],
        cwd=HERE.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    found = {one["target"]: one["verdict"] for one in json.loads(done.stderr)["implementations"]}
    warns = WARNS if not strict else ()
    assert found == {one["target"]: "passed" if name in warns else "failed" for name, one in chosen.items()}
