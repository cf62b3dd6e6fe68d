"""The diagnosis of defined kinds: the step that was written otherwise is named, and told from the others."""

from __future__ import annotations

from pathlib import Path

import pytest

import normcheck
from normcheck.core.ask import run_check
from normcheck.core.contract import Contract
from normcheck.core.result import Outcome
from normcheck.families.defined import FAMILY
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.faults import parameters, state, steps
from normcheck.families.defined.faults.base import DefinedFault
from normcheck.families.defined.kinds import ENTRIES
from normcheck.families.defined.subject import DefinedSubject

CODE = Path(__file__).parent / "user_code" / "defined" / "steps.py"

PIECES = (
    ("positional_norm", "root_plus_eps", "defined-eps-outside-root"),
    ("positional_norm", "floor_for_sum", "defined-eps-as-floor"),
    ("positional_norm", "instance_norm_of_maps", "defined-statistics-over-positions"),
    ("positional_norm", "one_pass", "defined-one-pass-variance"),
    ("positional_norm", "scale_is_constant", "defined-scale-detached"),
    ("positional_norm", "mean_is_constant", "defined-mean-detached"),
    ("l2_norm", "eps_under_the_root", "defined-eps-inside-root"),
    ("deep_norm", "unbiased_sum", "defined-variance-unbiased"),
    ("deep_norm", "mean_kept", "defined-mean-kept"),
    ("deep_norm", "residual_cut", "defined-input-without-gradient"),
    ("cosine_norm", "LengthsWithoutGradient", "defined-other-statistics-detached"),
    ("filter_response_norm", "lower_threshold", "defined-smaller-for-larger"),
    ("dynamic_tanh", "bias_forgotten", "defined-parameter-ignored"),
    ("dynamic_tanh", "weight_forgotten", "defined-second-parameter-ignored"),
    ("dynamic_tanh", "bias_without_gradient", "defined-third-parameter-without-gradient"),
)

NEW = [fault.name for fault in (*steps.ALL, *parameters.ALL, *state.ALL)]

SEVERAL = 2
"""More faults than these do not give every array of the same answers."""


@pytest.mark.parametrize(("kind", "piece", "fault"), PIECES)
def test_the_cause_is_the_step(kind: str, piece: str, fault: str) -> None:
    """One cause, and it is the mistake of the piece."""
    verdict = normcheck.check(f"{CODE}:{piece}", as_=kind, effort="quick")

    assert [cause["name"] for cause in verdict.causes] == [fault]


def first_failure(made: DefinedSubject) -> Outcome:
    able = (check for check in FAMILY.checks if check.concerns(made.entry) and not check.lacks(made))
    outcomes = (run_check(made, check, check.space.explicit_examples(made)) for check in able)
    return next(outcome for outcome in outcomes if outcome.finding is not None)


def concerned(fault: DefinedFault) -> DefinedNormalizer:
    return next(entry for entry in ENTRIES if fault.concerns(entry))


@pytest.mark.parametrize("name", NEW)
def test_a_fault_is_named_by_its_first_finding(name: str) -> None:
    """On the first kind that it concerns, and hardly another one beside it."""
    fault = FAMILY.faults[name]
    made = FAMILY.faulty(concerned(fault), fault, Contract())
    named = FAMILY.diagnose(made, [first_failure(made)])

    assert name in named
    assert len(named) <= SEVERAL


def test_a_fault_of_a_step_concerns_no_forward_without_it() -> None:
    """A forward without a root, eps or statistics has none of these faults; one that a slip makes is no other fault."""
    kinds = {entry.name: entry for entry in ENTRIES}
    able = {kind: {f.name for f in steps.ALL if FAMILY.faults[f.name].concerns(kinds[kind])} for kind in kinds}

    assert able["dynamic_tanh"] == set()
    assert "defined-eps-added" not in able["l2_norm"]  # l2-eps-added
    assert "defined-variance-unbiased" not in able["positional_norm"]  # pono-unbiased
    assert "defined-eps-outside-root" in able["positional_norm"]


def test_noise_is_told_from_another_constant() -> None:
    """An eps of 1e-6 changes as little as float32 does, and is no rounding."""
    kinds = {entry.name: entry for entry in ENTRIES}
    made = FAMILY.faulty(kinds["global_response_norm"], FAMILY.faults["defined-eps-as-floor"], Contract())
    named = FAMILY.diagnose(made, [first_failure(made)])

    assert named[0] == "defined-eps-as-floor"
