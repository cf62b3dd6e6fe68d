"""Layers of torch as models of ONNX: right code passes, wrong models are found. These tests need torch, onnx,
onnxruntime and onnxscript: .ci/run onnx_export, or pytest tests/onnx_export.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from normcheck.core.foreign_code import quiet
from normcheck.core.result import FAILED, PASSED, Outcome
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME

CODE = Path(__file__).parent.parent / "user_code" / "translated.py"


def asked(kind: str, target: str) -> Outcome:
    (claim,) = claims([(kind, target)], {"translated": "onnx"})
    with quiet():
        return Asker(Settings("quick")).run_check(claim, CHECKS_BY_NAME["onnx-model"])


RIGHT = (
    ("layer_norm", "torch.nn:LayerNorm"),
    ("rms_norm", "torch.nn:RMSNorm"),
    ("group_norm", "torch.nn:GroupNorm"),
    ("batch_norm", "torch.nn:BatchNorm1d"),
    ("instance_norm", "torch.nn:InstanceNorm1d"),
    ("batch_norm", "torch.nn.functional:batch_norm"),
    ("layer_norm", f"{CODE}:norm"),
    ("layer_norm", f"{CODE}:fused"),
)


@pytest.mark.parametrize(("kind", "target"), RIGHT, ids=lambda one: one.rpartition(":")[2])
def test_right_code_is_right_as_a_model(kind: str, target: str) -> None:
    """An attribute of an operator has the format float32: in float64 its eps is a warning."""
    found = asked(kind, target)

    assert found.status == PASSED, found.finding
    assert {warning.name for warning in found.warnings} <= {"eps-in-float32"}
    assert found.notes["onnx"] == "by torch.onnx.export, onnxruntime"


def test_a_format_that_the_runtime_has_no_code_for_is_not_checked() -> None:
    absent = asked("group_norm", "torch.nn:GroupNorm").absent

    assert list(absent) == ["onnx for any batch, float64"]
    assert "the runtime has no code for it" in absent["onnx for any batch, float64"]


def test_what_torch_has_wrong_itself_is_known() -> None:
    found = asked("weight_norm", "torch:_weight_norm")

    assert found.status == PASSED
    assert "no axes" in found.expected


WRONG = (
    ("ModelWithoutEps", "onnx-drops-eps"),
    ("ModelWithRoundedEps", "onnx-rounds-eps"),
    ("ModelInOnePass", ""),
    ("FrozenValue", ""),
    ("BranchOnValue", ""),
)


@pytest.mark.parametrize(("name", "fault"), WRONG)
def test_a_wrong_model_is_found(name: str, fault: str) -> None:
    found = asked("layer_norm", f"{CODE}:{name}")

    assert found.status == FAILED
    assert not fault or fault in found.diagnosis, found.diagnosis
