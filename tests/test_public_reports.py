"""Mistakes of public reports: the first diagnosis is the cause that the report's title tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sweeps import sweep

import normcheck
from normcheck.core.claim import Implementation
from normcheck.core.result import Outcome
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME
from normcheck.report.message import title
from normcheck.report.terminal.implementation import implementation

FILE = Path(__file__).parent / "user_code" / "reported.py"
REPORTS = (
    ("ooples/AiDotNet.Tensors#784", "layer_norm", "InverseTakenForVariance", "saved-inverse-read-as-variance"),
    ("GeeeekExplorer/nano-vllm#170", "rms_norm", "FloatIsNoCopy", "input-overwritten"),
    ("GeeeekExplorer/nano-vllm#170", "rms_norm", "FloatIsNoCopyWithoutGradient", "input-overwritten"),
    ("vllm-project/tpu-inference#3040", "rms_norm", "WeightFirst", "weight-before-statistic"),
    ("discuss.pytorch.org/t/51877", "layer_norm", "EpsOutsideOfEverything", "eps-added-to-result"),
    ("nntrainer/nntrainer#677", "batch_norm", "EpsInMovingVariance", "eps-in-running-variance"),
    ("chainer/chainer#4505", "batch_norm", "eps_in_average", "eps-in-running-variance"),
    ("medical-ai#95", "weight_norm", "norm_for_g", "g-replaced-by-norm"),
)
"""The report, the kind, the code that was written after it, and the cause."""


def check(name: str, kind: str) -> normcheck.Verdict:
    return normcheck.check(f"{FILE}:{name}", as_=kind, effort="quick")


@sweep(("report", "kind", "name", "cause"), REPORTS)
def test_the_cause_is_named_first(report: str, kind: str, name: str, cause: str) -> None:
    found = check(name, kind)

    assert not found.ok
    assert found.diagnosis[:1] == (cause,), report
    assert next(finding.likely for finding in found.findings if finding.likely).startswith(cause)


HIDDEN = (
    ("layer_norm", "EvalIsIdentity", "NormalizesInBothModes", "evaluation-mode", "evaluation-skips-normalization"),
    ("rms_norm", "StartsAtThree", "StartsAtOne", "construction", "weight-starts-elsewhere"),
    ("rms_norm", "zero_weight_is_nan", "torch.nn.functional:rms_norm", "any-weight", "weight-zero-is-nan"),
    ("layer_norm", "one_width_one_format", "torch.nn.functional:layer_norm", "every-width", "wrong-at-one-width"),
    ("rms_norm", "middle_rows", "torch.nn.functional:rms_norm", "every-number-of-sets",
     "middling-numbers-of-sets-unwritten"),
)  # fmt: skip
"""Mistakes that hide from most questions: the kind, the code, its corrected form, the check and the cause."""


@pytest.mark.parametrize(("kind", "wrong", "right", "check", "cause"), HIDDEN, ids=[one[1] for one in HIDDEN])
def test_what_hides_is_found_and_its_corrected_form_passes(
    kind: str, wrong: str, right: str, check: str, cause: str
) -> None:
    found, corrected = (
        one_check(kind, target if ":" in target else f"{FILE}:{target}", check) for target in (wrong, right)
    )

    assert found.finding is not None
    assert (found.status, found.finding.cause) == ("failed", cause)
    assert corrected.status == "passed"
    assert corrected.compared > 0


def one_check(kind: str, target: Any, check: str) -> Outcome:
    (claim,) = claims([Implementation(kind, target)], {})
    return Asker(Settings("default")).run_check(claim, CHECKS_BY_NAME[check])


def test_no_gradient_is_reported_beside_the_cause() -> None:
    found = check("FloatIsNoCopyWithoutGradient", "rms_norm")

    assert found.not_checked["gradient"] == "the output does not require grad"


def test_a_backward_that_raises_is_told_first_and_accused_of_nothing_else() -> None:
    """linkedin/Liger-Kernel#1375: the pass, the message once, the shapes; no fault is named."""
    found = check("BackwardRaisesOnMaps", "group_norm")
    (record,) = json.loads(found.to_json())["implementations"]
    (cause,) = found.causes

    assert not found.ok
    assert found.diagnosis == ()
    assert cause["story"].startswith("Its backward raises RuntimeError: shape '[")
    shapes = cause["story"].partition(", on inputs of ")[2].split(", ")
    assert {len(shape.split("x")) for shape in shapes} == {2, 4, 5}  # of three axes the last is all positions
    assert title(cause["finding"]) == "its backward raises RuntimeError"
    told = "\n".join(line for line, _ in implementation(record, 80))
    words = " ".join(told.split())
    assert "cause Its backward raises RuntimeError: shape" in words
    assert words.count("is invalid for input of size") == 1
