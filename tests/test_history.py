"""One layer over several calls, on torch code that answers every single call right."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from normcheck import families
from normcheck.core.ask import run_check
from normcheck.core.claim import Implementation
from normcheck.core.replay import decode, encode
from normcheck.core.result import FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME
from normcheck.families import bind as subject
from normcheck.normalizers import catalog, faults
from normcheck.normalizers.checks import folding, history
from normcheck.normalizers.faults import history as known
from normcheck.normalizers.programs import ALL, BATCHES, MOMENTA, RARE, batch
from normcheck.normalizers.sampling.recipes import Draw


def outcome(target: object, check: str, kind: str = "batch_norm", effort: str = "default") -> Outcome:
    (claim,) = claims([Implementation(kind, target)], {})
    return Asker(Settings(effort)).run_check(claim, CHECKS_BY_NAME[check])


class NotPersistent(nn.BatchNorm2d):
    """What is saved has no running statistics."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, self._buffers.pop(name), persistent=False)


class CountNotSaved(nn.BatchNorm2d):
    """The count of batches is not saved."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        name = "num_batches_tracked"
        self.register_buffer(name, self._buffers.pop(name), persistent=False)


class MomentumCaptured(nn.BatchNorm2d):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        self._first = momentum

    def forward(self, x):
        self.momentum, given = self._first, self.momentum
        y = super().forward(x)
        self.momentum = given
        return y


class ResetsToZero(nn.BatchNorm2d):
    def reset_running_stats(self):
        super().reset_running_stats()
        if getattr(self, "ready", False):
            self.running_var.zero_()
        self.ready = True


class FrozenState(nn.BatchNorm2d):
    def forward(self, x):
        if self.running_mean is None:
            return super().forward(x)
        frozen = self.weight is not None and not self.weight.requires_grad
        mean, var = self.running_mean.clone(), self.running_var.clone()
        y = super().forward(x)
        if frozen:
            self.running_mean.copy_(mean)
            self.running_var.copy_(var)
        return y


class NotMoved(nn.Module):
    """Running statistics are plain attributes: nothing moves them."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.running_mean, self.running_var = torch.zeros(num_features), torch.ones(num_features)
        self.eps, self.momentum = eps, momentum

    def forward(self, x):
        mean, var = self.running_mean.to(x.dtype), self.running_var.to(x.dtype)
        y = nn.functional.batch_norm(x, mean, var, self.weight, self.bias, self.training, self.momentum, self.eps)
        self.running_mean, self.running_var = mean.float(), var.float()
        return y


class SharedCopy(nn.BatchNorm2d):
    def __deepcopy__(self, memo):
        new = type(self)(self.num_features, self.eps, self.momentum, self.affine)
        new.load_state_dict(self.state_dict())
        new.to(self.running_mean.dtype)
        new._buffers["running_mean"] = self.running_mean
        return new


class CopyAsMade(nn.BatchNorm2d):
    """A copy is built anew and filled, in the dtype of the first call."""

    first = None

    def forward(self, x):
        self.first = self.first or x.dtype
        return super().forward(x)

    def __deepcopy__(self, memo):
        new = type(self)(self.num_features, self.eps, self.momentum, self.affine).to(self.first or torch.float64)
        new.load_state_dict(self.state_dict())
        return new


class BesselOfOne(nn.Module):
    """Written out, without a guard of n - 1 and of an empty batch."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.eps, self.momentum = eps, momentum

    def forward(self, x):
        shape = (1, -1, *(1,) * (x.dim() - 2))
        mean, var = self.running_mean, self.running_var
        if self.training:
            axes = (0, *range(2, x.dim()))
            mean = x.mean(axes)
            var = (x - mean.view(shape)).square().mean(axes)
            n = x.numel() // x.shape[1]
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * (x.new_tensor(n) / (n - 1)), self.momentum)
        y = (x - mean.view(shape)) / (var.view(shape) + self.eps).sqrt()
        return y * self.weight.view(shape) + self.bias.view(shape)


@pytest.mark.parametrize(
    ("target", "check"),
    [
        (NotPersistent, "state-dict"),
        (CountNotSaved, "state-dict"),
        (SharedCopy, "state-dict"),
        (MomentumCaptured, "history"),
        (ResetsToZero, "history"),
        (FrozenState, "history"),
        (CopyAsMade, "whole-life"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_wrong_code_is_found(target: type, check: str) -> None:
    """Each of them trains and evaluates right, and goes wrong in what happens between two calls."""
    for plain in ("running-statistics", "evaluation", "training-ignores-state"):
        assert outcome(target, plain, effort="quick").status == PASSED

    found = outcome(target, check)

    assert found.status == FAILED
    assert found.finding is not None
    assert "after: " in found.finding.detail
    assert "program" in found.finding.case


def test_nan_from_one_value_is_found_where_it_is_declared() -> None:
    (claim,) = claims([Implementation("batch_norm", BesselOfOne, {"single-value": "right"})], {})

    assert Asker(Settings("default")).run_check(claim, CHECKS_BY_NAME["single-values"]).status == FAILED


def test_statistics_that_stay_behind_are_found() -> None:
    found = outcome(NotMoved, "moved-state")

    assert found.status == FAILED
    assert found.finding is not None


STATE = [check.name for check in history.CHECKS + folding.CHECKS]


@pytest.mark.parametrize("check", STATE)
@pytest.mark.parametrize("target", ["torch.nn:BatchNorm1d", "torch.nn:BatchNorm2d", "torch.nn:BatchNorm3d"])
def test_torch_passes(target: str, check: str) -> None:
    assert outcome(target, check).status == PASSED


@pytest.mark.parametrize("check", STATE)
def test_an_instance_lives_too(check: str) -> None:
    """Its momentum is an attribute; it cannot be constructed anew."""
    found = outcome(nn.BatchNorm2d(5, momentum=0.3), check)

    assert found.status == PASSED
    assert found.finding is None


INSTANCE_NORM_EMPTY = """\
import torch
m = torch.nn.InstanceNorm1d(2, track_running_stats=True)
m(torch.empty(0, 2, 3))
print(m.running_mean, m.running_var)  # nan, where batch norm leaves both as they were
"""


@pytest.mark.parametrize("check", STATE)
@pytest.mark.parametrize("target", ["torch.nn:InstanceNorm2d", "torch.nn.functional:instance_norm"])
def test_instance_norm_of_torch(target: str, check: str) -> None:
    """It passes; without parameters it stores NaN where there are no cases, which is information."""
    found = outcome(target, check, kind="instance_norm")
    lifeless = "functional" in target and check in ("state-dict", "moved-state", "whole-life")

    assert found.status == (SKIPPED if lifeless else PASSED)
    if check == "empty-batches":
        mine, tested = subject(Implementation("instance_norm", target)), CHECKS_BY_NAME[check]
        without = [replace(draw, affine="none") for draw in tested.space.explicit_examples(mine)]
        assert run_check(mine, tested, without).notes["a batch of no cases"] == "leaves NaN in the running statistics"


def test_what_is_known_of_instance_norm_is_so() -> None:
    """The reproduction in plain torch; batch norm leaves its statistics as they were."""
    here: dict[str, nn.InstanceNorm1d] = {}
    exec(INSTANCE_NORM_EMPTY, here)
    plain = nn.BatchNorm1d(2)
    plain(torch.empty(0, 2, 3))

    assert here["m"].running_mean.isnan().all()
    assert plain.running_mean.tolist() == [0.0, 0.0]


def test_a_function_is_handed_its_statistics() -> None:
    """It has no state_dict and cannot be moved, and says so."""
    assert outcome("torch.nn.functional:batch_norm", "history").status == PASSED
    for check in ("state-dict", "moved-state", "whole-life"):
        assert outcome("torch.nn.functional:batch_norm", check).status == SKIPPED


def test_refused_batches_are_reported() -> None:
    """Torch raises for one value per channel, and counts the batch that it refused: information."""
    found = outcome("torch.nn:BatchNorm1d", "single-values")

    assert "train on one value" in found.absent
    assert found.notes == {"batches that are refused": "are counted among the batches seen"}


def test_recomputing_is_information() -> None:
    found = outcome("torch.nn:BatchNorm1d", "recomputed-state")

    assert found.status == PASSED
    assert found.notes == {"under checkpointing": "running statistics are updated twice"}


def test_without_state_nothing_is_asked() -> None:
    """Kinds that keep no running statistics are not concerned."""
    stateless = [n for n in catalog.ALL.values() if not n.state]
    assert not any(check.concerns(n) for n in stateless for check in history.CHECKS)
    assert outcome(nn.LayerNorm(6), "value", kind="layer_norm", effort="quick").status == PASSED


def test_a_program_is_replayed() -> None:
    draw = Draw(n=2, program=("momentum None", "train on 2 cases"))
    assert decode(encode("history", draw), Draw()) == ("history", draw)


def test_batches_have_two_values_where_they_must() -> None:
    """One case of a vector is one value for each channel, which only one operation uses."""
    bound = subject(Implementation("batch_norm", "torch.nn:BatchNorm1d"))
    for rank in (2, 3):
        case = CHECKS_BY_NAME["history"].space.recipe(bound.normalizer, Draw(n=4, rank=rank))
        for name, kind in BATCHES.items():
            x = batch(case, name, 0).x
            values = x.size // x.shape[1]
            assert values > 1 or name in RARE or not kind.training
            assert (values == 1) == (name == "train on one value") or not kind.training


@pytest.mark.parametrize("name", [fault.name for fault in known.FAULTS])
def test_a_fault_leaves_single_calls_alone(name: str) -> None:
    """Whatever goes wrong over several calls, the first one is that of the reference."""
    normalizer = families.get("batch_norm")
    fault = faults.get(name)
    case = CHECKS_BY_NAME["history"].space.recipe(normalizer, Draw(n=4, rank=3))
    if fault.where == "running":
        right, wrong = (faults.subject(normalizer, f).call(case, False) for f in (None, fault))
        assert (right.y == wrong.y).all()
        assert right.running_var is not None
        assert (right.running_var == wrong.running_var).all()


def test_operations_have_distinct_names() -> None:
    assert len(set(ALL)) == len(ALL)
    assert not [name for name in ALL if set("/=") & set(name)]
    assert set(MOMENTA) <= set(ALL)


def test_habits_compose() -> None:
    """Two faults over several calls at once: the effect of each is there."""
    normalizer = families.get("batch_norm")
    both = faults.compose(faults.get("reset-clears-variance"), faults.get("frozen-parameters-freeze-state"))
    case = CHECKS_BY_NAME["history"].space.recipe(normalizer, Draw(n=4, rank=3))
    live = faults.subject(normalizer, both).live
    assert live is not None
    life = live(case)
    life.do("freeze the parameters")
    before = life.state()
    life.call(batch(case, "train on 3 cases", 0), False)
    assert (life.state().mean == before.mean).all()
    life.do("reset the statistics")
    assert not life.state().var.any()
