"""Layers of flax over a named axis: classes of nnx and of linen are functions of one shard. Faults are named."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from asked import CODE, Asked

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.core.device import DEVICE
from normcheck.core.errors import UsageError
from normcheck.core.result import FAILED, PASSED

LAYERS = f"{CODE}/mapped_layers.py"
AS_FLAX = "[momentum=old running-variance=biased]"
VALUES = ("sync-output", "sync-input-gradient", "sync-parameter-gradients")
STATE = ("sync-running", "sync-agreement", "sync-evaluation")


@pytest.mark.parametrize(
    ("claim", "names"),
    [
        (f"sync_batch_norm={LAYERS}:Whole", (*VALUES, *STATE)),
        (
            "sync_batch_norm[momentum=old running-variance=biased accuracy=one-pass]=flax.nnx:BatchNorm",
            (*VALUES, *STATE),
        ),
        (f"sync_batch_norm{AS_FLAX}=flax.linen:BatchNorm(use_fast_variance=False)", (*VALUES, *STATE)),
        (f"sync_batch_norm{AS_FLAX}={LAYERS}:Linen", ("sync-output", "sync-running", "sync-evaluation")),
        (f"tensor_parallel_rms_norm={LAYERS}:Width", VALUES),
        ("tensor_parallel_layer_norm=flax.nnx:LayerNorm(use_fast_variance=False)", VALUES),
        ("sequence_parallel_layer_norm=flax.linen:LayerNorm(use_fast_variance=False)", ("sync-parameter-gradients",)),
    ],
)
def test_right_layers_pass(claim: str, names: tuple[str, ...]) -> None:
    found = Asked(claim).ask(*names)

    assert [(one.check, one.reason, one.finding) for one in found if one.status != PASSED] == []
    assert all(one.compared for one in found)


@pytest.mark.parametrize(
    ("claim", "check", "fault"),
    [
        (f"sync_batch_norm={LAYERS}:Silent", "sync-output", "sync-local-statistics"),
        (f"sync_batch_norm={LAYERS}:Constant", "sync-input-gradient", "sync-statistics-constant"),
        (f"sync_batch_norm{AS_FLAX}={LAYERS}:LinenAlone", "sync-output", "sync-local-statistics"),
    ],
)
def test_wrong_layers_are_found_and_named(claim: str, check: str, fault: str) -> None:
    (found,) = Asked(claim).ask(check)

    assert found.status == FAILED
    assert found.diagnosis[0] == fault


def test_statistics_that_differ_between_devices_are_found() -> None:
    (found,) = Asked(f"sync_batch_norm={LAYERS}:LocalRunning").ask("sync-agreement")

    assert found.status == FAILED
    assert found.finding is not None
    assert found.finding.detail.startswith("rank ")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (f"{LAYERS}:Needs", "requires mesh, which is no part of this kind; known: axis_name, units, eps, momentum"),
        (f"{LAYERS}:made", "is a layer that is made already: name its class"),
        (f"{LAYERS}:Breaks", "cannot be constructed: ValueError: no such size"),
    ],
)
def test_a_layer_that_cannot_be_made_is_refused_in_a_sentence(target: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        families.bind(Implementation("sync_batch_norm", target))

    assert "\n" not in str(error.value)


def test_another_device_is_refused() -> None:
    token = DEVICE.set("cuda")
    try:
        with pytest.raises(UsageError, match="mapped over devices of the CPU: check it without --norm-device"):
            families.bind(Implementation("sync_batch_norm", "flax.nnx:BatchNorm"))
    finally:
        DEVICE.reset(token)


def test_isolation_is_refused_in_a_sentence() -> None:
    """In an environment without torch, whose processes these are, and in one with it."""
    words = ["--norm", "sync_batch_norm=flax.nnx:BatchNorm", "--norm-isolate", "-k", "sync-output"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *words]
    done = subprocess.run(command, cwd=CODE, capture_output=True, text=True, check=False)
    said = "of torch, which is not installed" if importlib.util.find_spec("torch") is None else "which is not isolated"

    assert done.returncode == 4
    assert f"{said}: check it without --norm-isolate" in done.stdout + done.stderr
