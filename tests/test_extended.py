"""The columns beyond Table 1: every "yes" can fail, every "no" has a witness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.result import FAILED, PASSED, WITNESS, Outcome
from normcheck.core.spec import OF_BATCH, REPARAMETRIZES
from normcheck.families import CHECKS_BY_NAME
from normcheck.normalizers import catalog, faults
from normcheck.normalizers.case import Case
from normcheck.normalizers.sampling.space import edges
from normcheck.normalizers.subject import Answer, Subject
from normcheck.normalizers.transforms import extended

COLUMN = {"reparametrization": REPARAMETRIZES, "independence-of-batch": OF_BATCH}
CELLS = [(kind, name) for kind in catalog.ALL for name in COLUMN]


def outcome_of(subject: Subject, name: str) -> Outcome:
    check = CHECKS_BY_NAME[name]
    some = (*edges(check.space, subject.normalizer, subject.domain), *draws(subject, check, 6, 1))
    return run_check(subject, check, some)


@pytest.mark.parametrize(("kind", "name"), CELLS)
def test_a_cell_is_measured_as_derived_and_a_no_has_its_witness(kind: str, name: str) -> None:
    outcome = outcome_of(faults.subject(families.get(kind)), name)
    share = outcome.metrics[f"extended/{COLUMN[name]}"]

    assert outcome.status == PASSED
    assert outcome.compared
    assert (share <= 1.0) == extended(families.get(kind))[COLUMN[name]]
    assert share <= 1.0 or share >= WITNESS


def test_weight_norm_is_a_reparametrization_and_layer_norm_is_none() -> None:
    assert extended(families.get("weight_norm"))[REPARAMETRIZES]
    assert extended(families.get("batch_norm"), evaluation=True)[REPARAMETRIZES]
    assert not extended(families.get("batch_norm"))[REPARAMETRIZES]
    assert not extended(families.get("layer_norm"))[REPARAMETRIZES]


def test_a_layer_without_statistics_is_no_layer_norm() -> None:
    """What is affine in every case gives no witness that layer norm is not."""
    sound = faults.subject(families.get("layer_norm"))

    def identity(case: Case, gradient: bool) -> Answer:
        return Answer(np.array(case.x), case.format.name)

    assert outcome_of(replace(sound, call=identity), "reparametrization").status == FAILED


def test_layer_norm_over_the_batch_sees_other_cases() -> None:
    """Batch norm in the place of instance norm is found where another case moves."""
    sound = faults.subject(families.get("instance_norm"))
    batch = faults.subject(families.get("batch_norm"))

    assert outcome_of(replace(sound, call=batch.call), "independence-of-batch").status == FAILED


def test_batch_norm_that_sees_no_other_case_has_no_witness() -> None:
    sound = faults.subject(families.get("batch_norm"))
    other = faults.subject(families.get("instance_norm"))

    assert outcome_of(replace(sound, call=other.call), "independence-of-batch").status == FAILED


def test_weights_with_an_activation_fold_into_none() -> None:
    weight = families.get("weight_norm")

    assert outcome_of(faults.subject(weight, faults.get("output-absolute")), "reparametrization").status == FAILED
