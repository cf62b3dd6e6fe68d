"""Divided norms of DTensors, and of layers that are made already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_ranks import CODE, entry_of

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract
from normcheck.core.errors import CallError, UsageError
from normcheck.core.events import outcomes_of
from normcheck.core.result import FAILED, PASSED, Outcome
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.families.synchronized import FAMILY, reference
from normcheck.families.synchronized.case import DIVIDED, PLACEMENTS
from normcheck.families.synchronized.checks import CHECKS
from normcheck.families.synchronized.space import SynchronizedDraw, ranks_case

MESHED = CODE / "meshed.py"
MADE = CODE / "instances.py"
SOME = ("sync-output", "sync-input-gradient", "sync-parameter-gradients")


def asked(kind: str, target: Path | str, *names: str) -> list[Outcome]:
    """The outcomes of some checks of code that is given DTensors, with the binding as the first."""
    checks = [check for check in CHECKS if check.name in names]
    return list(outcomes_of(events(claims([f"{kind}[tensors=dtensor]={target}"], {}), Settings("quick"), checks)))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("tensor_parallel_rms_norm", f"{MESHED}:divided_width_by_hand"),
        ("sequence_parallel_rms_norm", f"{MESHED}:Rows"),
        ("sequence_parallel_layer_norm", "torch.nn.functional:layer_norm"),
    ],
)
def test_right_code_passes(kind: str, target: str) -> None:
    found = asked(kind, target, *SOME)

    assert [(one.check, one.reason, one.finding) for one in found if one.status != PASSED] == []
    assert not any(one.warnings for one in found)


@pytest.mark.parametrize(
    ("kind", "name", "check", "fault"),
    [
        ("tensor_parallel_rms_norm", "own_width", "sync-output", "sync-local-statistics"),
        ("tensor_parallel_rms_norm", "copies_summed", "sync-output", "sync-replicated-summed"),
        (
            "sequence_parallel_rms_norm",
            "AlwaysPartial",
            "sync-parameter-gradients",
            "sync-replicated-parameters-summed",
        ),
        (
            "sequence_parallel_rms_norm",
            "FirstAxisPartial",
            "sync-parameter-gradients",
            "sync-sequence-parameters-partial",
        ),
        ("sequence_parallel_rms_norm", "PartialRows", "sync-parameter-gradients", "sync-parameters-partial"),
    ],
)
def test_wrong_code_is_found_and_named(kind: str, name: str, check: str, fault: str) -> None:
    *_, found = asked(kind, f"{MESHED}:{name}", check)

    assert found.status == FAILED
    assert found.diagnosis[0] == fault


def test_an_output_in_another_placement_is_a_warning() -> None:
    *_, found = asked("tensor_parallel_rms_norm", f"{MESHED}:gathered_width", "sync-output")

    assert found.status == PASSED
    assert [one.name for one in found.warnings] == ["placement"]
    assert "Replicate()" in found.warnings[0].text


def test_parts_that_do_not_fit_their_placement_are_a_finding() -> None:
    """Parts along the sequence that are called parts of the cases: nothing is refused, and the values are others."""
    *_, found = asked("sequence_parallel_rms_norm", f"{MESHED}:AlwaysFirstAxis", "sync-output")

    assert found.status == FAILED
    assert found.finding is not None
    assert found.finding.case["placement"] == "sequence"
    assert "returned a DTensor in Shard(dim=0) with parts of shape" in found.finding.detail


def test_code_that_refuses_a_placement_is_a_warning() -> None:
    found = asked("tensor_parallel_rms_norm", f"{MESHED}:divided_alone", *SOME)

    assert [one.status for one in found] == [PASSED] * 4
    assert {one.name for outcome in found for one in outcome.warnings} == {"placement-refused"}
    (warning,) = found[1].warnings
    assert warning.text.startswith("raised NotImplementedError: the width must be divided")
    assert "where its input is replicated" in warning.text


def test_plain_tensors_have_no_placement_of_their_own() -> None:
    """What every process has whole is a matter of DTensors: other code is given parts along the axis of its kind."""
    subject = FAMILY.faulty(entry_of("sequence_parallel_rms_norm"), None, Contract())
    space = next(check.space for check in CHECKS if check.name == "sync-output")
    plain = replace(subject, domain=replace(subject.domain, placements=(DIVIDED,)))
    drawn = [{draw.placement for draw in space.explicit_examples(one)} for one in (subject, plain)]

    assert drawn == [set(PLACEMENTS), {DIVIDED}]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_what_each_process_is_given_is_where_the_placement_says(placement: str) -> None:
    """On axis 0, on axis 1, or all of it; the joined gradient of the weight is everywhere."""
    entry = entry_of("sequence_parallel_rms_norm")
    case = ranks_case(entry, SynchronizedDraw(axes=3, placement=placement))
    shards = [shard.x.shape for shard in case.shards()]
    whole = case.joined.x.shape

    assert (
        shards
        == {
            "divided": [(2, *whole[1:]), (5, *whole[1:]), (3, *whole[1:])],
            "sequence": [(whole[0], size, whole[2]) for size in (2, 5, 3)],
            "replicated": [whole] * 3,
        }[placement]
    )
    gradients = [answer.dweight for answer in reference.answers(entry, case, Contract())]
    assert gradients[0] is not None
    assert all(np.array_equal(one, gradients[0]) for one in gradients if one is not None)


def test_a_plain_tensor_is_no_answer_to_a_dtensor() -> None:
    claim = Implementation("tensor_parallel_rms_norm", f"{MESHED}:plain_output", {"tensors": "dtensor"})

    with pytest.raises(CallError, match="returned a plain tensor"):
        families.bind(claim)


@pytest.mark.parametrize(
    ("name", "check", "fault"),
    [
        ("local", "sync-output", "sync-local-statistics"),
        ("detached", "sync-input-gradient", "sync-statistics-constant"),
    ],
)
def test_a_layer_that_is_made_already_is_judged(name: str, check: str, fault: str) -> None:
    (claim,) = claims([f"sync_batch_norm={MADE}:{name}"], {})
    checks = [one for one in CHECKS if one.name == check]
    *_, found = outcomes_of(events([claim], Settings("quick"), checks))

    assert found.status == FAILED
    assert found.diagnosis[0] == fault
    assert found.finding is not None
    assert found.finding.case["shape"][1] == {"local": 5, "detached": 4}[name]
    assert found.finding.case["eps"] == 1e-5


def test_a_right_layer_keeps_its_size_its_eps_and_its_momentum() -> None:
    checks = [one for one in CHECKS if one.name in ("sync-output", "sync-running", "sync-calls-in-turn")]
    found = list(outcomes_of(events(claims([f"sync_batch_norm={MADE}:right"], {}), Settings("quick"), checks)))

    assert [(one.check, one.reason, one.finding) for one in found if one.status != PASSED] == []
    assert sum(one.compared for one in found) > 1000


def test_a_layer_without_a_size_is_refused() -> None:
    with pytest.raises(UsageError, match="name its class"):
        families.bind(Implementation("sync_batch_norm", f"{MADE}:without_size"))
