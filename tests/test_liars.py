"""Four liars: zeros, the input itself, NaN, and the right answer with one entry that is off by ten bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sweeps import sweep

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.check import Check
from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.result import FAILED
from normcheck.families import CHECKS
from normcheck.normalizers import catalog, faults
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.bounds.contracted import demanded
from normcheck.normalizers.case import Case
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.recipes import Draw
from normcheck.normalizers.sampling.space import edges
from normcheck.normalizers.subject import Answer, Subject

GRADIENTS = ("dx", "dweight", "dbias")
EVERYTHING = ("y", *GRADIENTS, "running_mean", "running_var")

Lie = Callable[[Subject, Case, Answer], Answer]


def changed(answer: Answer, names: tuple[str, ...], change: Callable[[Array], Array]) -> Answer:
    """Some arrays of the answer are replaced."""
    there = {name: getattr(answer, name) for name in names if getattr(answer, name) is not None}
    others: dict[str, Any] = {name: change(value) for name, value in there.items()}
    return replace(answer, **others)


def zeros(subject: Subject, case: Case, answer: Answer) -> Answer:
    return changed(answer, EVERYTHING, np.zeros_like)


def identity(subject: Subject, case: Case, answer: Answer) -> Answer:
    """Returns input and cotangent unchanged; parameters get no gradient, and nothing is stored."""
    dx = None if answer.dx is None else case.dy
    kept = replace(answer, y=case.x, dx=dx, running_mean=case.running_mean, running_var=case.running_var)
    return changed(kept, ("dweight", "dbias"), np.zeros_like)


def nan(subject: Subject, case: Case, answer: Answer) -> Answer:
    return changed(answer, EVERYTHING, lambda value: np.full_like(value, np.nan))


def one_entry(subject: Subject, case: Case, answer: Answer) -> Answer:
    """The last entry of the output is off by ten times what is allowed there."""
    truth = evaluate(subject.normalizer, case, subject.contract)
    allowed = np.broadcast_to(bounds.forward(truth, demanded(subject, case)).total, case.x.shape)
    y = np.array(truth.y)
    y.flat[-1] += 10.0 * allowed.flat[-1]
    return replace(answer, y=y)


def zero_gradients(subject: Subject, case: Case, answer: Answer) -> Answer:
    return changed(answer, GRADIENTS, np.zeros_like)


def nan_gradients(subject: Subject, case: Case, answer: Answer) -> Answer:
    return changed(answer, GRADIENTS, lambda value: np.full_like(value, np.nan))


def nan_parameter_gradients(subject: Subject, case: Case, answer: Answer) -> Answer:
    return changed(answer, ("dweight", "dbias"), lambda value: np.full_like(value, np.nan))


def zero_parameter_gradients(subject: Subject, case: Case, answer: Answer) -> Answer:
    return changed(answer, ("dweight", "dbias"), np.zeros_like)


def lying(kind: str, lie: Lie) -> Subject:
    honest = faults.subject(families.get(kind))

    def call(case: Case, gradient: bool) -> Answer:
        with np.errstate(all="ignore"):
            return lie(honest, case, honest.call(case, gradient))

    return replace(honest, name=f"{kind} by {lie.__name__}", call=call)


def found_by(subject: Subject, checks: tuple[Check, ...] = CHECKS) -> list[str]:
    """The checks that find a liar."""
    able = [check for check in checks if check.concerns(subject.normalizer) and not check.lacks(subject)]
    return [check.name for check in able if run_check(subject, check, asked(subject, check)).status == FAILED]


def asked(subject: Subject, check: Check) -> tuple[Draw, ...]:
    return (*edges(check.space, subject.normalizer, subject.domain), *draws(subject, check, 4, 1))


def named(*names: str) -> tuple[Check, ...]:
    return tuple(check for check in CHECKS if check.name in names)


@sweep("kind", catalog.ALL)
@pytest.mark.parametrize("lie", [zeros, identity, nan], ids=lambda lie: lie.__name__)
def test_a_gross_liar_is_found_in_many_ways(kind: str, lie: Lie) -> None:
    found = found_by(lying(kind, lie))
    assert {"value", "moments", "input-gradient", "parameter-gradients"} <= set(found)
    assert len(found) >= 8, found


@pytest.mark.parametrize("kind", catalog.ALL)
def test_one_entry_off_by_ten_bounds_is_found(kind: str) -> None:
    checks = named("value", "evaluation", "eps-is-read", "constant-rows")
    found = found_by(lying(kind, one_entry), checks)
    assert "value" in found
    able = {check.name for check in checks if check.concerns(families.get(kind))}
    assert set(found) == able


@pytest.mark.parametrize("kind", catalog.ALL)
@pytest.mark.parametrize("lie", [zero_gradients, nan_gradients], ids=lambda lie: lie.__name__)
def test_a_liar_about_gradients_alone_is_found(kind: str, lie: Lie) -> None:
    normalizer = families.get(kind)
    asked = ["input-gradient", "parameter-gradients", "gradient-mode"]
    if not normalizer.partial and (lie is nan_gradients or normalizer.eps is not None):
        asked.append("gradient-sums")  # which no partial statistic obeys, and zeros do where there is no eps
    assert found_by(lying(kind, lie), named(*asked)) == [check.name for check in CHECKS if check.name in asked]


@pytest.mark.parametrize("kind", catalog.ALL)
@pytest.mark.parametrize("lie", [zero_parameter_gradients, nan_parameter_gradients], ids=lambda lie: lie.__name__)
def test_a_liar_about_parameters_alone_is_found(kind: str, lie: Lie) -> None:
    assert "parameter-gradients" in found_by(lying(kind, lie), named("parameter-gradients"))


@pytest.mark.parametrize("kind", [n.name for n in catalog.ALL.values() if n.state])
@pytest.mark.parametrize("lie", [zeros, nan], ids=lambda lie: lie.__name__)
def test_a_liar_about_running_statistics_is_found(kind: str, lie: Lie) -> None:
    def about_state(subject: Subject, case: Case, answer: Answer) -> Answer:
        told = lie(subject, case, answer)
        return replace(answer, running_mean=told.running_mean, running_var=told.running_var)

    found = found_by(lying(kind, about_state), named("running-statistics", "evaluation-keeps-state"))
    assert found == ["running-statistics", "evaluation-keeps-state"]


@pytest.mark.parametrize("kind", catalog.ALL)
def test_the_best_accuracy_is_within_reach(kind: str) -> None:
    """A sound implementation passes where the best class is demanded; the one off by ten bounds of it does not."""
    honest = faults.subject(families.get(kind), contract=Contract(accuracy="sound"))
    checks = named("value", "input-gradient", "parameter-gradients", "evaluation", "running-statistics")
    assert not found_by(honest, checks)
