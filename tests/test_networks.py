"""The experiment on networks: what drifts where a statistic is held constant, stands still where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.contract import GRADIENTS, Contract
from normcheck.core.result import PASSED
from normcheck.families import CHECKS_BY_NAME
from normcheck.normalizers import catalog, faults
from normcheck.normalizers.sampling.space import edges
from normcheck.normalizers.subject import Subject

BIAS, SCALE = "bias-drift-in-a-network", "weight-scale-drift"
CENTERED = [n.name for n in catalog.ALL.values() if n.centered]
SCALED = [n.name for n in catalog.ALL.values() if n.scaled]


def status(subject: Subject, name: str) -> str:
    check = CHECKS_BY_NAME[name]
    some = (*edges(check.space, subject.normalizer, subject.domain), *draws(subject, check, 6, 1))
    outcome = run_check(subject, check, some)
    assert outcome.compared
    return outcome.status


@pytest.mark.parametrize("mode", GRADIENTS)
@pytest.mark.parametrize("kind", CENTERED)
def test_the_drift_of_a_bias_is_that_of_the_claimed_gradient(kind: str, mode: str) -> None:
    assert status(faults.subject(families.get(kind), contract=Contract(gradient=mode)), BIAS) == PASSED


@pytest.mark.parametrize("mode", GRADIENTS)
@pytest.mark.parametrize("kind", SCALED)
def test_the_drift_of_a_length_is_that_of_the_claimed_gradient(kind: str, mode: str) -> None:
    assert status(faults.subject(families.get(kind), contract=Contract(gradient=mode)), SCALE) == PASSED


@pytest.mark.parametrize(("name", "wrong"), [(BIAS, "mean-constant"), (SCALE, "variance-constant")])
def test_a_gradient_through_what_is_claimed_constant_is_found(name: str, wrong: str) -> None:
    """The full gradient does not drift, so it breaks the claim that a statistic is held constant."""
    full = faults.subject(families.get("batch_norm"))
    claimed = replace(full, contract=Contract(gradient=wrong))

    assert status(claimed, name) != PASSED


def loss(y: np.ndarray, above: np.ndarray) -> float:
    return float((above * np.tanh(y)).sum())


@pytest.mark.parametrize("kind", CENTERED)
def test_with_a_constant_mean_the_bias_leaves_and_the_loss_stays(kind: str) -> None:
    """The story of section 2 in numbers: each step moves b by the same amount and the loss by none."""
    from normcheck.normalizers.checks import networks
    from normcheck.normalizers.reference.oracle import partition

    subject = faults.subject(families.get(kind), contract=Contract(gradient="mean-constant"))
    check = CHECKS_BY_NAME[BIAS]
    case = check.space.recipe(subject.normalizer, next(edges(check.space, subject.normalizer, subject.domain)))
    net = networks.initial(subject, case)
    part = partition(subject.normalizer, case)
    biases, losses = [net.bias], []
    for _ in range(12):
        step = networks.step_of(subject, net, biased=True)
        losses.append(loss(step.y, net.above))
        common = networks.average(subject.normalizer, part, part.collect(step.dx))
        net = replace(net, bias=net.bias - 0.05 * common)
        biases.append(net.bias)
    moves = np.diff(np.array(biases), axis=0)

    assert np.abs(moves[0]).min() > 1e-4
    assert np.allclose(moves, moves[0], rtol=1e-9)
    assert np.ptp(losses) < 1e-9 * np.abs(losses).max()
