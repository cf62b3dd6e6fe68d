"""Code as users write it, in files of their own: the right passes in every style, the wrong fails for its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from normcheck.adapters.bind import subject
from normcheck.checks import ALL, BY_NAME
from normcheck.claim import Implementation
from normcheck.draws import formats
from normcheck.result import FAILED, PASSED
from normcheck.search import Effort, search

HERE = Path(__file__).parent
CORRECT = json.loads((HERE / "user_code" / "correct.json").read_text())
WRONG = json.loads((HERE / "user_code" / "wrong.json").read_text())
KILLS = (HERE / "kill_matrix.txt").read_text().splitlines()

FINDS = {
    "absolute-deviation": "moments",
    "affine-ignored": "affine-map",
    "bias-before-weight": "value",
    "bias-ignored": "value",
    "dbias-averaged": "parameter-gradients",
    "dweight-from-x": "parameter-gradients",
    "dx-without-weight": "input-gradient",
    "eps-as-floor": "eps-is-read",
    "eps-hard-coded": "eps-is-read",
    "eps-ignored": "eps-is-read",
    "eps-outside-root": "eps-co-scaling",
    "eps-squared": "eps-is-read",
    "eval-uses-batch-statistics": "evaluation-alone",
    "float64-in-float32": "value",
    "groups-interleaved": "dependency",
    "half-accumulator": "value",
    "last-axis-only": "dependency",
    "mean-kept-in-numerator": "moments",
    "mean-not-subtracted": "moments",
    "mean-subtracted": "moments",
    "mean-term-missing": "gradient-mode",
    "momentum-swapped": "running-statistics",
    "normalized-twice": "value",
    "one-pass-variance": "value",
    "one-pass-variance-clamped": "value",
    "output-clipped": "value",
    "padded-lanes-in-variance": "moments",
    "running-statistics-not-updated": "running-statistics",
    "running-variance-biased": "running-statistics",
    "scale-multiplied": "moments",
    "statistics-constant": "gradient-mode",
    "statistics-from-row-0": "dependency",
    "statistics-of-a-sample": "value",
    "statistics-of-whole-tensor": "dependency",
    "statistics-over-wrong-axis": "dependency",
    "tail-dropped": "value",
    "variance-about-the-mean": "moments",
    "variance-instead-of-root": "moments",
    "variance-term-missing": "gradient-mode",
    "variance-unbiased": "moments",
    "weight-absolute": "value",
    "weight-ignored": "affine-scale",
    "weight-offset-one": "affine-scale",
    "wrong-dim": "dependency",
}
"""The check that must find a fault, whatever else finds it too, where another says more than the first does."""

ISSUE = (
    "variance-unbiased", "eps-outside-root", "eps-hard-coded", "one-pass-variance-clamped", "padded-lanes-in-variance",
    "mean-term-missing", "variance-term-missing", "dweight-from-x", "affine-ignored", "statistics-from-row-0",
    "float64-in-float32", "half-accumulator",
)  # fmt: skip


def bound(one: dict[str, Any]):
    return subject(Implementation(one["kind"], str(HERE.parent / one["target"]), one.get("contract", {})))


def finder(fault: str, kind: str) -> str:
    """The check that must find a fault: the one written here, else the first that the kill matrix has."""
    rows = [line.partition(": ") for line in KILLS if line.startswith(f"{fault} / ")]
    own = next((found for head, _, found in rows if head == f"{fault} / {kind}"), rows[0][2])
    return FINDS.get(fault) or own.split()[0]


def name(one: dict[str, str]) -> str:
    return f"{one['kind']}-{Path(one['target']).name}"


@pytest.mark.parametrize("one", CORRECT, ids=name)
def test_correct(one: dict[str, str]) -> None:
    """Every law holds, in the style that this code is written in."""
    mine = bound(one)
    asked = 0
    for check in ALL:
        if check.concerns(mine.normalizer) and not check.lacks(mine) and formats(check.space, mine.domain):
            if check.least == "deep":  # compiling takes seconds for each case
                continue
            outcome = search(mine, check, Effort(4))
            asked += outcome.status == PASSED

            assert outcome.finding is None, check.name
            assert outcome.status == PASSED or outcome.absent, check.name  # what it does not offer, it refuses
    assert asked > 10


@pytest.mark.parametrize("one", WRONG, ids=lambda one: f"{one['fault']}-{name(one)}")
def test_wrong(one: dict[str, str]) -> None:
    """The check that exists for this fault finds it."""
    mine = bound(one)
    check = BY_NAME[finder(one["fault"], one["kind"])]

    assert search(mine, check, Effort(20)).status == FAILED


def test_exit_status() -> None:
    """The classics end a run with exit status 1 and the verdict failed, each of them."""
    chosen = {fault: next(one for one in WRONG if one["fault"] == fault) for fault in ISSUE}
    args = [word for one in chosen.values() for word in ("--norm", f"{one['kind']}={one['target']}")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--norm-effort", "quick", *args,
         "--norm-json", "/dev/stderr"],
        cwd=HERE.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    found = {one["target"]: one["verdict"] for one in json.loads(done.stderr)["implementations"]}
    assert found == {one["target"]: "failed" for one in chosen.values()}
