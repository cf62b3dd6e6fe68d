"""One implementation over several calls, and among others: what strangers' code keeps, forgets or hands on wrongly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import linear

from normcheck.core.ask import run_check
from normcheck.core.claim import Implementation
from normcheck.core.result import FAILED, PASSED
from normcheck.families import CHECKS_BY_NAME, bind
from normcheck.implementations import refreshed, whitening

STRANGERS = Path(__file__).parent / "user_code" / "strangers"

WRONG = (
    ("recurrent_layer_norm", "recurrent_layer.py:KeepsItsState", "recurrent-calls-in-turn"),
    ("recurrent_layer_norm", "recurrent_layer.py:SentByAddress", "recurrent-calls-in-turn"),
    ("recurrent_batch_norm_rnn", "recurrent_batch.py:FirstBatchForEver", "recurrent-calls-in-turn"),
    ("recurrent_layer_norm", "recurrent_layer.py:TruncatedAtTen", "gradient-through-time"),
    ("zca_whitening", "whitening.py:MatrixOnce", "white-calls-in-turn"),
    ("zca_whitening", "whitening.py:EvalMatrixKept", "white-calls-in-turn"),
    ("zca_whitening", "whitening.py:NotSaved", "white-state-dict"),
    ("mean_normalized_sgd", "refreshed.py:NewParameter", "refresh-step"),
    ("mean_normalized_sgd", "refreshed.py:CenterNotSaved", "refresh-state-dict"),
    ("mean_normalized_sgd", "refreshed.py:MomentumIgnored", "refresh-momentum"),
    ("mean_normalized_sgd", "refreshed.py:InputCentered", "refresh-input-gradient"),
    ("mean_normalized_sgd", "refreshed.py:SharesWithLinear", "refresh-given-layer"),
    ("natural_neural_network", "refreshed.py:Unsaved", "refresh-state-dict"),
    ("natural_gradient_sgd", "refreshed.py:DownToo", "refresh-input-gradient"),
    ("linear_transformations", "refreshed.py:BendUnsaved", "refresh-state-dict"),
    ("path_sgd", "path.py:FirstGroupsRate", "path-groups"),
    ("path_sgd", "path.py:BiasDouble", "path-bias"),
    ("path_sgd", "path.py:BiasStill", "path-bias"),
)


def asked(kind: str, target: Any, name: str, contract: dict[str, str] | None = None) -> str:
    """The status of a check on what it always asks."""
    bound, check = bind(Implementation(kind, target, contract or {})), CHECKS_BY_NAME[name]
    assert not check.lacks(bound)
    return run_check(bound, check, check.space.explicit_examples(bound)).status


@pytest.mark.parametrize(("kind", "target", "name"), WRONG, ids=lambda v: str(v).rpartition(":")[2])
def test_what_is_kept_forgotten_or_handed_on_wrongly_is_found(kind: str, target: str, name: str) -> None:
    assert asked(kind, f"{STRANGERS}/wrong/{target}", name) == FAILED


def test_a_momentum_that_a_net_does_not_pass_on_is_found() -> None:
    """It had been written into every inner module before each call."""
    target = f"{STRANGERS}/wrong/recurrent_batch.py:MomentumIgnored"
    assert asked("recurrent_batch_norm_rnn", target, "step-statistics") == FAILED


class Wrapper(torch.nn.Module):
    """Takes the given layer over: that it changes is no writing to another's parameters."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.register_buffer("mean", torch.zeros_like(linear.weight[0]).detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x - self.mean)

    @torch.no_grad()
    def refresh(self, x: torch.Tensor) -> None:
        mean = x.mean(0)
        self.linear.bias += self.linear.weight @ (mean - self.mean)
        self.mean.copy_(mean)


class FromTheFirst(Wrapper):
    """An average that begins with the whole of the first batch."""

    def __init__(self, linear: torch.nn.Linear, momentum: float = 0.1) -> None:
        super().__init__(linear)
        self.momentum, self.started = momentum, False

    def refresh(self, x: torch.Tensor) -> None:
        share, self.started = self.momentum if self.started else 1.0, True
        super().refresh((self.mean + share * (x.mean(0) - self.mean)).expand(2, -1))


class Unbiased(Wrapper):
    """An average that is divided by the sum of its weights, which no batch has if the momentum is 0."""

    def __init__(self, linear: torch.nn.Linear, momentum: float = 0.1) -> None:
        super().__init__(linear)
        self.momentum, self.sum, self.weight = momentum, torch.zeros_like(self.mean), 0.0

    def refresh(self, x: torch.Tensor) -> None:
        self.sum = (1.0 - self.momentum) * self.sum + self.momentum * x.mean(0)
        self.weight = (1.0 - self.momentum) * self.weight + self.momentum
        super().refresh((self.sum / self.weight).expand(2, -1))


@pytest.mark.parametrize("target", [Wrapper, FromTheFirst, Unbiased])
def test_layers_that_are_taken_over_and_averages_of_any_start_pass(target: type) -> None:
    bound = bind(Implementation("mean_normalized_sgd", target))
    for check in (c for c in CHECKS_BY_NAME.values() if c.concerns(bound.entry) and not c.lacks(bound)):
        assert run_check(bound, check, check.space.explicit_examples(bound)).status == PASSED, check.name


def test_a_momentum_of_zero_is_not_asked_where_it_means_nothing() -> None:
    lacking = [
        CHECKS_BY_NAME["refresh-momentum"].lacks(bind(Implementation("mean_normalized_sgd", target)))
        for target in (Unbiased, Wrapper, FromTheFirst)
    ]
    assert lacking[0].startswith(("refresh raised", "returns no finite numbers"))
    assert lacking[1:] == ["takes no momentum", ""]


class Replaced(whitening.ZCAWhitening):
    """Running statistics are new tensors after each batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, cov = self.running_mean, self.running_cov
        self.running_mean, self.running_cov = mean.clone(), cov.clone()
        return super().forward(x)


def test_statistics_may_be_new_tensors() -> None:
    for name in ("white-running", "white-calls-in-turn", "white-state-dict"):
        assert asked("zca_whitening", Replaced, name) == PASSED


def test_a_function_is_asked_over_calls_and_not_for_a_saved_state() -> None:
    bound = bind(Implementation("iter_norm", whitening.iter_norm))
    assert CHECKS_BY_NAME["white-state-dict"].lacks(bound) == "is a function, which has no state to save"
    assert asked("iter_norm", whitening.iter_norm, "white-calls-in-turn") == PASSED


def test_a_wrong_gradient_by_the_input_is_seen_in_both_formats() -> None:
    """An error of a thousandth, which no output shows."""

    class Off(refreshed.NaturalLinear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return linear(super().forward(x + 1e-3 * (x - x.detach())), torch.eye(len(self.bias), dtype=x.dtype))

    bound, check = bind(Implementation("natural_neural_network", Off)), CHECKS_BY_NAME["refresh-input-gradient"]
    draws = list(check.space.explicit_examples(bound))
    for format in ("float64", "float32"):
        assert run_check(bound, check, [replace(draws[0], format=format)]).status == FAILED
