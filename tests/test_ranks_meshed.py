"""Divided norms of DTensors, and of layers that are made already."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_ranks import CODE

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, UsageError
from normcheck.core.events import outcomes_of
from normcheck.core.result import FAILED, PASSED, Outcome
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.families.synchronized.checks import CHECKS

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
