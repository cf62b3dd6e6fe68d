"""Layers below the wrappers of torch, their saved states, and layers from the meta device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_ranks import outcomes

from normcheck.core.result import FAILED, PASSED
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME
from normcheck.frameworks.torch.emptied import left_behind, unfilled

CODE = Path(__file__).parent / "user_code"
MOVED = CODE / "synchronized" / "moved.py"
STRANGE = CODE / "strangers" / "wrong" / "layer_contract.py"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("sync_batch_norm", "Refilled"), ("sequence_parallel_rms_norm", "HookedInTheCall")],
)
def test_right_layers_are_the_same_below_wrappers(kind: str, name: str) -> None:
    found = outcomes(f"{kind}={MOVED}:{name}", "sync-wrapped", "sync-saved", settings=Settings("default"))

    assert [(one.check, one.reason, one.finding) for one in found if one.status != PASSED] == []
    assert [one.warnings for one in found] == [(), (), ()]
    assert all(one.compared > 100 for one in found[1:])


@pytest.mark.parametrize(
    ("kind", "name", "check", "fault"),
    [
        ("sync_batch_norm", "KeptParameters", "sync-wrapped", "sync-wrapped-parameters-stale"),
        ("sync_batch_norm", "NeverRefilled", "sync-wrapped", "sync-meta-uninitialized"),
        ("sync_batch_norm", "NotPersistent", "sync-saved", "sync-state-incomplete"),
        ("sequence_parallel_rms_norm", "Hooked", "sync-wrapped", "sync-wrapped-hook-lost"),
    ],
)
def test_wrong_layers_are_right_alone_and_named(kind: str, name: str, check: str, fault: str) -> None:
    alone = ("sync-output", "sync-parameter-gradients")
    *right, found = outcomes(f"{kind}={MOVED}:{name}", *alone, check, settings=Settings("default"))

    assert [one.status for one in right] == [PASSED] * len(right)
    assert found.status == FAILED
    assert found.diagnosis[0] == fault
    assert found.finding is not None
    assert found.finding.case["wrapper"] in ("fsdp2", "fsdp2-meta")


def test_a_layer_that_raises_below_a_wrapper_is_a_warning() -> None:
    """It is asked once: after an error all processes start anew."""
    *_, found = outcomes(f"sync_batch_norm={MOVED}:OnTheMetaDevice", "sync-wrapped", settings=Settings("default"))

    assert found.status == PASSED
    assert [one.name for one in found.warnings] == ["not-wrapped"]
    assert "meta" in found.warnings[0].text


def test_functions_have_no_wrapper() -> None:
    claim = "sequence_parallel_rms_norm=normcheck.implementations.parallel:sequence_parallel_rms_norm"
    *_, found = outcomes(claim, "sync-wrapped", settings=Settings("default"))

    assert (found.status, found.reason) == ("skipped", "is a function, which no wrapper takes")


def test_one_layer_is_emptied_in_one_process() -> None:
    (claim,) = claims([f"layer_norm={STRANGE}:EpsInNoState"], {})
    outcome = Asker(Settings("quick")).run_check(claim, CHECKS_BY_NAME["construction"])

    assert outcome.status == FAILED
    assert outcome.finding is not None
    assert "'eps'" in outcome.finding.detail
    assert outcome.diagnosis == ("buffer-never-filled",)


class _Filled(torch.nn.Module):
    """Two buffers that are in no state, and an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(2), persistent=False)
        self.register_buffer("other", torch.ones(2), persistent=False)
        self.register_buffer("counts", torch.zeros(1, dtype=torch.long))
        self.table = torch.ones(3)

    def reset_parameters(self) -> None:
        self.get_buffer("one").fill_(1.0)


def test_what_an_emptied_layer_lacks() -> None:
    layer = _Filled()

    assert unfilled(layer, lambda module: _Filled(), set()) == ("other",)
    assert unfilled(layer, lambda module: _Filled(), {id(layer.get_buffer("other"))}) == ()
    assert left_behind(layer) == ("table",)
    assert unfilled(torch.nn.BatchNorm1d(3), lambda module: torch.nn.BatchNorm1d(3), set()) == ()
