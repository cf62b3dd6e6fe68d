"""The diagnosis of the other families: the fault that was made is named by its finding, and few beside it."""

from __future__ import annotations

from typing import Any

import pytest

from normcheck import families
from normcheck.core.ask import run_check
from normcheck.core.contract import Contract
from normcheck.core.result import Outcome
from normcheck.families.path_optimizer.entry import PathOptimizer
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.whitening.entry import Whitening

FAMILIES = [f for f in families.FAMILIES if f.entry_type in (PathOptimizer, Reparametrized, Whitening)]
FAULTS = [(family, name) for family in FAMILIES for name in family.faults]
SEVERAL = 3
"""More faults than these do not make one finding."""


def subject(family: Any, name: str) -> Any:
    fault = family.faults[name]
    entry = next(entry for entry in family.entries if fault.concerns(entry))
    return family.faulty(entry, fault, Contract())


def first_failure(family: Any, made: Any) -> Outcome:
    able = (check for check in family.checks if check.concerns(made.entry) and not check.lacks(made))
    outcomes = (run_check(made, check, check.space.explicit_examples(made)) for check in able)
    return next(outcome for outcome in outcomes if outcome.finding is not None)


@pytest.mark.parametrize(("family", "name"), FAULTS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_fault_is_named_by_its_first_finding(family: Any, name: str) -> None:
    made = subject(family, name)
    named = family.diagnose(made, [first_failure(family, made)])

    assert name in named
    assert len(named) <= SEVERAL


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.entries[0].name)
def test_nothing_is_named_for_what_no_fault_makes(family: Any) -> None:
    """The findings of one fault are not those of the correct layer, and nothing is named without a finding."""
    made = subject(family, next(iter(family.faults)))
    right = family.faulty(made.entry, None, Contract())

    assert family.diagnose(right, [first_failure(family, made)]) == ()
    assert family.diagnose(made, []) == ()
