"""Modules as they are constructed and deployed: what each check finds, in code written by strangers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_public_reports import one_check
from torch import nn

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME

STRANGERS = Path(__file__).parent / "user_code" / "strangers"
WRONG = (
    ("layer_norm", "modes.py:EvalForgetsBias", "evaluation-mode"),
    ("layer_norm", "modes.py:EvalFreezes", "evaluation-mode"),
    ("layer_norm", "modes.py:EvalWithoutGradient", "evaluation-mode"),
    ("layer_norm", "modes.py:CopyForInference", "changed-parameters"),
    ("rms_norm", "modes.py:GainByAddress", "changed-parameters"),
    ("batch_norm", "modes.py:BatchNormFoldedOnce", "changed-parameters"),
    ("layer_norm", "modes.py:OnePassWithoutGradient", "grad-mode"),
    ("layer_norm", "modes.py:InferenceModeKeeps", "grad-mode"),
    ("layer_norm", "layer_contract.py:StartsSmall", "construction"),
    ("layer_norm", "layer_contract.py:BiasAnyway", "construction"),
    ("layer_norm", "layer_contract.py:ParametersInAList", "construction"),
    ("rms_norm", "layer_contract.py:RMSNormPlainTensor", "construction"),
)


@pytest.mark.parametrize(("kind", "target", "check"), WRONG, ids=[f"{one[1]}-{one[2]}" for one in WRONG])
def test_found(kind: str, target: str, check: str) -> None:
    assert one_check(kind, f"{STRANGERS}/wrong/{target}", check).status == "failed"


@pytest.mark.parametrize("check", ["evaluation-mode", "changed-parameters", "construction"])
@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("layer_norm", "torch.nn:LayerNorm"),
        ("rms_norm", "torch.nn:RMSNorm"),
        ("group_norm", "torch.nn:GroupNorm"),
        ("batch_norm", "torch.nn:BatchNorm2d"),
        ("instance_norm", "torch.nn:InstanceNorm2d"),
    ],
)
def test_layers_of_torch_pass(kind: str, target: str, check: str) -> None:
    if not CHECKS_BY_NAME[check].concerns(families.get(kind)):
        pytest.skip("it has running statistics: its evaluation is another function")
    outcome = one_check(kind, target, check)

    assert outcome.status == "passed", outcome.reason
    assert outcome.compared > 0


class ReturnsNothing(nn.LayerNorm):
    """As many layers of public models do, it forgets to return itself: nobody calls that of a single layer."""

    def train(self, mode: bool = True) -> Any:
        super().train(mode)


def test_a_mode_that_is_not_returned_is_a_note() -> None:
    outcome = one_check("layer_norm", ReturnsNothing, "evaluation-mode")

    assert outcome.status == "passed"
    assert outcome.notes["eval()"] == "train() or eval() does not return the module"


class Zeros(nn.RMSNorm):
    """Starts at zero, which is right only where the output is multiplied by 1 + w."""

    def __init__(self, normalized_shape: Any, eps: float = 1e-6) -> None:
        super().__init__(normalized_shape, eps)
        nn.init.zeros_(self.weight)


class OnePlus(Zeros):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.rms_norm(x, self.normalized_shape, 1.0 + self.weight, self.eps)


@pytest.mark.parametrize(
    ("target", "contract", "status"),
    [
        (Zeros, {}, "failed"),
        (Zeros, {"initial": "any"}, "passed"),
        (OnePlus, {"weight": "1+w"}, "passed"),
    ],
)
def test_where_a_weight_starts(target: type, contract: dict[str, str], status: str) -> None:
    (claim,) = claims([Implementation("rms_norm", target, contract)], {})

    assert Asker(Settings("default")).run_check(claim, CHECKS_BY_NAME["construction"]).status == status


class HeldInABuffer(nn.Module):
    """A weight that is saved and loaded, and not trained."""

    persistent = True

    def __init__(self, normalized_shape: Any, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(normalized_shape), persistent=self.persistent)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


class HoldsAConstant(HeldInABuffer):
    """A weight of ones that no state has, as of a layer without one for kernels that need one."""

    persistent = False


@pytest.mark.parametrize(
    ("target", "contract", "warned"),
    [
        (HeldInABuffer, {}, ["not-trained"]),
        (HeldInABuffer, {"initial": "any"}, []),
        (HoldsAConstant, {}, []),
    ],
)
def test_a_weight_that_no_optimizer_trains(target: type, contract: dict[str, str], warned: list[str]) -> None:
    (claim,) = claims([Implementation("rms_norm", target, contract)], {})
    outcome = Asker(Settings("default")).run_check(claim, CHECKS_BY_NAME["construction"])

    assert outcome.status == "passed"
    assert [one.name for one in outcome.warnings] == warned
