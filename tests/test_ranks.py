"""Normalizers whose input is divided among processes: simulated ones are judged, and real ones that call each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sweeps import sweep

from normcheck import families
from normcheck.core.ask import run_check
from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract, contract
from normcheck.core.errors import UsageError
from normcheck.core.events import outcomes_of
from normcheck.core.floats import FORMATS
from normcheck.core.limits import Isolation, Limits
from normcheck.core.result import FAILED, PASSED, Outcome
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.explain.pages import page
from normcheck.families.synchronized import FAMILY, bounds, reference
from normcheck.families.synchronized.checks import CHECKS
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.space import SHARDS, SynchronizedDraw, ranks_case

CODE = Path(__file__).parent / "user_code" / "synchronized"
KINDS = [entry.name for entry in FAMILY.entries]


def entry_of(kind: str) -> Synchronized:
    found = families.get(kind)
    assert isinstance(found, Synchronized)
    return found


def outcomes(claim: str, *names: str, settings: Settings | None = None) -> list[Outcome]:
    """The outcomes of the checks with these names, or of all quick ones, with the binding as the first."""
    checks = [check for check in CHECKS if (check.name in names if names else check.least == "quick")]
    return list(outcomes_of(events(claims([claim], {}), settings or Settings("quick"), checks)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shards", SHARDS)
def test_what_the_ranks_must_return_is_what_one_process_returns(kind: str, shards: str) -> None:
    """Parts of y and dx lie behind each other as the joined ones do; gradients of parameters have the joined sum."""
    entry = entry_of(kind)
    case = ranks_case(entry, SynchronizedDraw(shards=shards, seed=7))
    got = reference.answers(entry, case, Contract())
    (truth,) = reference.truths(entry, case, Contract()).values()

    assert [answer.y.shape[entry.axis] for answer in got] == list(case.sizes)
    np.testing.assert_array_equal(np.concatenate([answer.y for answer in got], entry.axis), truth.y)
    for name in ("dweight", "dbias"):
        expected = getattr(truth, name)
        parts = [getattr(answer, name) for answer in got]
        if expected is None:
            assert parts == [None] * len(got)
        elif entry.divides_parameters:
            np.testing.assert_array_equal(np.concatenate(parts), expected)
        elif entry.reduces_parameters:
            assert all(np.array_equal(part, expected) for part in parts)
        else:
            np.testing.assert_allclose(sum(parts), expected, rtol=1e-12, atol=1e-12)


def test_groups_are_joined_each_by_itself() -> None:
    """With groups (0, 2) and (1,), what rank 1 has changes nothing on ranks 0 and 2."""
    entry = entry_of("sync_batch_norm")
    case = ranks_case(entry, SynchronizedDraw(groups="apart"))
    x = case.joined.x.copy()
    x[case.spans()[1]] += 3.0
    one, other = (reference.answers(entry, each, Contract()) for each in (case, case.but(x=x)))

    assert case.groups == ((0, 2), (1,))
    assert [np.array_equal(a.running_mean, b.running_mean) for a, b in zip(one, other, strict=True)] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("ranks", ["2", "4"])
@pytest.mark.parametrize("kind", KINDS)
def test_correct_processes_pass_whatever_their_number(kind: str, ranks: str) -> None:
    subject = FAMILY.faulty(entry_of(kind), None, Contract(ranks=ranks))
    for check in CHECKS:
        if check.concerns(subject.entry):
            outcome = run_check(subject, check, check.space.explicit_examples(subject))
            assert (outcome.status, outcome.finding) == (PASSED, None), check.name


@sweep("name", FAMILY.faults)
def test_every_fault_is_named_first(name: str) -> None:
    """By the first check that finds it, on the first entry that it can befall."""
    fault = FAMILY.faults[name]
    entry = next(entry for entry in FAMILY.entries if fault.concerns(entry))
    subject = FAMILY.faulty(entry, fault, Contract())
    asked = (run_check(subject, check, check.space.explicit_examples(subject)) for check in CHECKS
             if check.concerns(entry))  # fmt: skip
    found = next(outcome for outcome in asked if outcome.finding is not None)

    assert FAMILY.diagnose(subject, [found])[0] == name


def test_conventions_are_declared() -> None:
    """The biased running variance, and momentum as the weight of the old values, are right where they are declared."""
    entry = entry_of("sync_batch_norm")
    biased = FAMILY.faulty(entry, FAMILY.faults["sync-running-biased"], Contract())
    (running,) = (check for check in CHECKS if check.name == "sync-running")
    draws = [SynchronizedDraw(), SynchronizedDraw(shards="single", axes=3)]

    assert run_check(biased, running, draws).status == FAILED
    assert run_check(replace(biased, contract=Contract(running_variance="biased")), running, draws).status == PASSED


@pytest.mark.parametrize("name", [name for name, format in FORMATS.items() if format.narrow])
def test_a_local_gradient_may_be_rounded_before_the_sum(name: str) -> None:
    """The bound of a summed gradient admits one rounding on each rank, also where the parts cancel in the sum."""
    entry, format = entry_of("sync_batch_norm"), FORMATS[name]
    case = ranks_case(entry, SynchronizedDraw(format=name, seed=3))
    right = reference.answers(entry, case, Contract())
    subject = FAMILY.faulty(entry, None, Contract())
    (off,) = bounds.of_groups(subject, case)
    total = sum(format.round(answer.dweight) for answer in right if answer.dweight is not None)
    assert off.truth.dweight is not None

    assert np.all(np.abs(total - off.truth.dweight) <= off.parameter(bias=False))


BUNDLED = [
    ("sync_batch_norm", "normcheck.implementations.synchronized:SyncBatchNorm"),
    *((kind, f"normcheck.implementations.parallel:{kind}") for kind in KINDS[1:]),
]


@pytest.mark.parametrize(("kind", "target"), BUNDLED)
def test_bundled_ones_pass(kind: str, target: str) -> None:
    found = outcomes(f"{kind}={target}")

    assert [one.check for one in found if one.status != PASSED] == []
    assert sum(one.compared for one in found) > 1000
    assert found[0].absent == {}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("sync_batch_norm", "TwoReductions"),
        ("sync_batch_norm", "gathered"),
        ("tensor_parallel_rms_norm", "width_divided"),
    ],
)
def test_right_code_passes(kind: str, name: str) -> None:
    found = outcomes(f"{kind}={CODE}/right.py:{name}")

    assert [(one.check, one.reason, one.finding) for one in found if one.status != PASSED] == []


@pytest.mark.parametrize(
    ("kind", "name", "check", "fault"),
    [
        ("sync_batch_norm", "Local", "sync-output", "sync-local-statistics"),
        ("sync_batch_norm", "NotDifferentiated", "sync-input-gradient", "sync-backward-own-part"),
        ("sync_batch_norm", "Detached", "sync-input-gradient", "sync-statistics-constant"),
        ("sync_batch_norm", "EqualShards", "sync-output", "sync-unweighted-means"),
        ("sync_batch_norm", "IgnoresGroup", "sync-groups", "sync-group-ignored"),
        ("sync_batch_norm", "FirstRankOnly", "sync-running", "sync-running-on-first-rank"),
        ("tensor_parallel_rms_norm", "local_width", "sync-output", "sync-local-count"),
        ("sequence_parallel_rms_norm", "partial_gradient", "sync-parameter-gradients", "sync-parameters-partial"),
    ],
)
def test_wrong_code_is_found_and_named(kind: str, name: str, check: str, fault: str) -> None:
    *_, found = outcomes(f"{kind}={CODE}/wrong.py:{name}", check)

    assert found.status == FAILED
    assert found.diagnosis[0] == fault
    assert found.finding is not None
    assert "rank" in found.finding.detail + found.finding.law


def test_the_number_of_ranks_is_a_setting_and_a_convention() -> None:
    """`Settings.ranks` is for families of several processes alone; it is in the command that repeats a case."""
    claim = f"sync_batch_norm={CODE}/wrong.py:Local"
    *_, found = outcomes(claim, "sync-output", settings=Settings("quick", ranks=2))
    assert found.finding is not None
    assert len(found.finding.case["shards"]) == 2
    assert "--norm-contract ranks=2" in found.finding.replay

    layer = claims(["layer_norm=torch.nn:LayerNorm"], {})
    (bound, *_) = outcomes_of(events(layer, Settings("quick", ranks=2), []))
    assert bound.contract == {}


def test_a_number_of_ranks_is_known_or_refused() -> None:
    """It is no convention that a normalizer of one process can have, so its page does not offer it."""
    assert contract({"ranks": "2"}).ranks == "2"
    with pytest.raises(UsageError, match="contract ranks=9: known: 2, 3, 4"):
        contract({"ranks": "9"})
    assert not [line for _, lines in page("layer_norm").sections for line in lines if "ranks" in line]


def test_isolation_gives_limits() -> None:
    """With --norm-isolate the target is imported in its processes alone, within the limits of isolation."""
    claim = "tensor_parallel_rms_norm=normcheck.implementations.parallel:tensor_parallel_rms_norm"
    found = outcomes(claim, "sync-output", settings=Settings("quick", isolate=Isolation(Limits(60.0))))

    assert [one.status for one in found] == [PASSED, PASSED]


@pytest.mark.parametrize(
    ("kind", "target", "declared", "says"),
    [
        (
            "sync_batch_norm",
            "torch.nn:SyncBatchNorm",
            {},
            "torch.nn:SyncBatchNorm needs CUDA, and its processes run on",
        ),
        ("sync_batch_norm", "torch.nn:Linear", {}, "requires"),
        (
            "sync_batch_norm",
            "torch.nn.functional:batch_norm",
            {"gradient": "statistics-constant"},
            "no such convention",
        ),
        ("sync_batch_norm", "torch.nn.functional:relu", {}, "takes no eps"),
        ("sync_batch_norm", "nowhere:f", {}, "there is no module 'nowhere'"),
    ],
)
def test_what_cannot_be_bound_is_said_in_a_sentence(
    kind: str, target: str, declared: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError) as error:
        families.bind(Implementation(kind, target, declared))

    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_an_object_must_be_one_that_other_processes_can_import() -> None:
    def local(x: object, eps: float) -> object:
        return x

    with pytest.raises(UsageError, match="cannot be sent to other processes"):
        families.bind(Implementation("sync_batch_norm", local))
