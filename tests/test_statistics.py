"""Running statistics in other memory, grad modes and formats: torch's own pass, and strangers' code is found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import normcheck
from normcheck.core.result import FAILED, PASSED, Outcome
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME

HERE = Path(__file__).parent / "user_code" / "strangers"
CHECKS = ("strided-statistics", "statistics-without-gradient", "unrounded-statistics")


def outcome_of(target: object, check: str, kind: str = "batch_norm") -> Outcome:
    (claim,) = claims([(kind, target)], {})
    return Asker(Settings("quick")).run_check(claim, CHECKS_BY_NAME[check])


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", ["batch_norm", "instance_norm"])
def test_torchs_functions_pass(kind: str, check: str) -> None:
    outcome = outcome_of(f"torch.nn.functional:{kind}", check, kind)

    assert outcome.status == PASSED, outcome.finding
    assert outcome.compared > 0
    assert outcome.absent == {}


@pytest.mark.parametrize("check", CHECKS[1:])
@pytest.mark.parametrize("target", ["torch.nn:BatchNorm2d", f"{HERE}/right/running.py:BatchNorm"])
def test_right_layers_pass(target: str, check: str) -> None:
    outcome = outcome_of(target, check)

    assert outcome.status == PASSED, outcome.finding
    assert outcome.compared > 0


@pytest.mark.parametrize(
    ("name", "check", "law"),
    [
        ("buffers_in_place", "strided-statistics", "statistics every second"),
        ("OnlyWithGradients", "statistics-without-gradient", "no grad"),
        ("GraphKeptAlive", "history", "have no history of calls"),
    ],
)
def test_strangers_code_is_found(name: str, check: str, law: str) -> None:
    """Each updates contiguous statistics right, in one format, where gradients are recorded."""
    target = f"{HERE}/wrong/running_state.py:{name}"
    assert outcome_of(target, "running-statistics").status == PASSED
    found = outcome_of(target, check)

    assert found.status == FAILED
    assert found.finding is not None
    assert law in found.finding.law


def test_statistics_that_a_narrow_batch_rounds_are_a_warning() -> None:
    """As of every statistic that is kept in the narrow format, where torch's own function keeps a wide one."""
    found = outcome_of(f"{HERE}/wrong/running_state.py:RoundedOnTheWay", "unrounded-statistics")

    assert found.status == PASSED
    assert {"accuracy=half:bfloat16", "accuracy=half:float16"} & {warning.name for warning in found.warnings}


def contiguous_alone(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Refuses what it does not do, as a kernel does."""
    if not running_mean.is_contiguous():
        raise ValueError("running statistics must be contiguous")
    if running_mean.dtype != input.dtype:
        raise ValueError("running statistics must have the dtype of the input")
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


@pytest.mark.parametrize(("check", "refused"), [(CHECKS[0], "statistics every second"), (CHECKS[2], "wide parameters")])
def test_what_is_refused_is_no_finding(check: str, refused: str) -> None:
    outcome = outcome_of(contiguous_alone, check)

    assert outcome.status != FAILED
    assert refused in outcome.absent


class NewTensors(torch.nn.BatchNorm1d):
    """Its statistics are new tensors after each call, which stay inference tensors after inference mode."""

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if mean is not None:
            self.running_mean, self.running_var = mean.clone(), var.clone()
        return super().forward(x)


def test_inference_mode_spoils_no_later_call() -> None:
    assert outcome_of(NewTensors, "statistics-without-gradient").status == PASSED


def frozen(x, weight, bias, running_mean, running_var, eps=1e-5):
    """Takes the running statistics and no mode: it normalizes by them, always."""
    units = (1, -1) + (1,) * (x.dim() - 2)
    wide = torch.promote_types(x.dtype, torch.float32)
    scale = weight.to(wide) * torch.rsqrt(running_var.to(wide) + eps)
    y = (x.to(wide) - running_mean.to(wide).view(units)) * scale.view(units) + bias.to(wide).view(units)
    return y.to(x.dtype)


def frozen_by_deviation(x, weight, bias, running_mean, running_var, eps=1e-5):
    return frozen(x, weight, bias, running_mean, running_var.square(), eps)


def of_the_batch(x, weight, bias, running_mean, running_var, eps=1e-5):
    """Ignores what it gets: it normalizes by the batch."""
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)


def test_a_function_without_a_mode_is_checked_in_that_which_it_has() -> None:
    """What follows the running statistics is checked in evaluation alone; what follows the batch, in training."""
    right, wrong, other = (
        normcheck.check(target, as_="batch_norm", effort="quick")
        for target in (frozen, frozen_by_deviation, of_the_batch)
    )

    assert right.ok, str(right)
    assert "no training mode" in right.information
    assert "evaluation" in {check for cause in wrong.causes for check in cause["checks"]}
    assert other.ok, str(other)
    assert "no training mode" not in other.information


def ignores_momentum_0(input, running_mean, running_var, weight, bias, training, momentum, eps):  # type: ignore[no-untyped-def]
    """Returns new statistics, and takes a momentum of 0 for none."""
    mean, var = running_mean.clone(), running_var.clone()
    return F.batch_norm(input, mean, var, weight, bias, training, momentum or 1.0, eps), mean, var


@pytest.mark.parametrize(("target", "status"), [("torch:native_batch_norm", PASSED), (ignores_momentum_0, FAILED)])
def test_returned_statistics_of_the_batch_are_no_running_ones(target: object, status: str) -> None:
    """torch.native_batch_norm updates its buffers in place and returns the statistics of the batch."""
    assert outcome_of(target, "history").status == status
