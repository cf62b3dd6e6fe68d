"""Mistakes of public reports: the first diagnosis is the cause that the report's title tells."""

from __future__ import annotations

from pathlib import Path

import pytest

import normcheck

FILE = Path(__file__).parent / "user_code" / "reported.py"
SERVED = {"formats": "float32,bfloat16,float16"}
"""What an implementation promises that computes float64 input in float32."""

REPORTS = (
    ("ooples/AiDotNet.Tensors#784", "layer_norm", "InverseTakenForVariance", "saved-inverse-read-as-variance", {}),
    ("GeeeekExplorer/nano-vllm#170", "rms_norm", "FloatIsNoCopy", "input-overwritten", SERVED),
    ("GeeeekExplorer/nano-vllm#170", "rms_norm", "FloatIsNoCopyWithoutGradient", "input-overwritten", SERVED),
    ("vllm-project/tpu-inference#3040", "rms_norm", "WeightFirst", "weight-before-statistic", {}),
    ("discuss.pytorch.org/t/51877", "layer_norm", "EpsOutsideOfEverything", "eps-added-to-result", {}),
    ("nntrainer/nntrainer#677", "batch_norm", "EpsInMovingVariance", "eps-in-running-variance", {}),
    ("chainer/chainer#4505", "batch_norm", "eps_in_average", "eps-in-running-variance", {}),
    ("medical-ai#95", "weight_norm", "norm_for_g", "g-replaced-by-norm", {}),
)
"""The report, the kind, the code that was written after it, the cause, and the contract."""


def check(name: str, kind: str, contract: dict[str, str]) -> normcheck.Verdict:
    return normcheck.check(f"{FILE}:{name}", as_=kind, contract=contract, effort="quick")


@pytest.mark.parametrize(("report", "kind", "name", "cause", "contract"), REPORTS, ids=[r[2] for r in REPORTS])
def test_the_cause_is_named_first(report: str, kind: str, name: str, cause: str, contract: dict[str, str]) -> None:
    found = check(name, kind, contract)

    assert not found.ok
    assert found.diagnosis[:1] == (cause,), report
    assert next(finding.likely for finding in found.findings if finding.likely).startswith(cause)


def test_no_gradient_is_reported_beside_the_cause() -> None:
    found = check("FloatIsNoCopyWithoutGradient", "rms_norm", SERVED)

    assert found.not_checked["gradient"] == "the output does not require grad"


def test_a_backward_that_raises_is_accused_of_nothing_else() -> None:
    """linkedin/Liger-Kernel#1375: the message of the exception is in the findings, and no fault is named."""
    found = check("BackwardRaisesOnMaps", "group_norm", {})

    assert not found.ok
    assert found.diagnosis == ()
    assert any("invalid for input of size" in finding.detail for finding in found.findings)
