"""Processes on GPUs: which device and backend each has, what is said where there are too few, and where tensors lie.

No machine of ours has a GPU: what needs none is tested, and the device of torch that computes nothing stands for it.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from test_ranks import CODE, entry_of

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.core.contract import contract
from normcheck.core.device import DEVICE
from normcheck.core.errors import CallError, UsageError
from normcheck.core.limits import Limits
from normcheck.engine.claims import claims
from normcheck.engine.replays import replay_command
from normcheck.families.synchronized.case import WRAPPERS
from normcheck.families.synchronized.space import SynchronizedDraw, ranks_case
from normcheck.families.synchronized.torch import devices, wrapping
from normcheck.families.synchronized.torch.placing import LocalTensors
from normcheck.families.synchronized.torch.processes import RankProcesses
from normcheck.families.synchronized.torch.rank import Rank
from normcheck.families.synchronized.torch.signature import CLASS, FUNCTION, Taken, taken
from normcheck.frameworks.isolation.worker_group import WAITING

EACH = "--norm-device cuda: each of 3 processes needs a GPU of its own"


@contextmanager
def on(device: str) -> Iterator[None]:
    """A run on a device."""
    token = DEVICE.set(device)
    try:
        yield
    finally:
        DEVICE.reset(token)


@pytest.mark.parametrize(
    ("device", "names", "backend"),
    [
        ("cpu", ["cpu", "cpu", "cpu"], "gloo"),
        ("cuda", ["cuda:0", "cuda:1", "cuda:2"], "cpu:gloo,cuda:nccl"),
    ],
)
def test_each_process_has_its_device(device: str, names: list[str], backend: str) -> None:
    found = devices.rank_devices(device, 3, lambda: 4)

    assert [one.name for one in found] == names
    assert {one.backend for one in found} == {backend}


@pytest.mark.parametrize(
    ("device", "gpus", "says"),
    [
        ("cuda", 0, f"{EACH}, and torch sees none: leave the option out for cpu"),
        ("cuda", 1, f"{EACH}, and torch sees 1: leave the option out for cpu"),
        ("cuda", 2, f"{EACH}, and torch sees 2: ask for --norm-ranks 2, or leave the option out for cpu"),
        (
            "cuda:1",
            4,
            "--norm-device cuda:1: each of 3 processes needs a GPU of its own: write --norm-device cuda; "
            "CUDA_VISIBLE_DEVICES selects which ones",
        ),
    ],
)
def test_too_few_gpus_are_said_with_the_remedy(device: str, gpus: int, says: str) -> None:
    with pytest.raises(UsageError) as error:
        devices.rank_devices(device, 3, lambda: gpus)

    assert str(error.value) == says


def test_processes_are_not_started_on_gpus_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    entry = entry_of("sync_batch_norm")
    with on("cuda"), pytest.raises(UsageError, match="torch sees 2: ask for --norm-ranks 2"):
        RankProcesses(Implementation(entry.name, "torch.nn:SyncBatchNorm"), entry).subject()


def test_the_address_space_of_cuda_has_no_limit() -> None:
    """CUDA reserves more addresses than the machine has memory; other limits stay, and calls have time to connect."""
    assert devices.limits_on("cpu", Limits(4.0, 2.0)) == Limits(4.0, 2.0)
    assert devices.limits_on("cuda", Limits(4.0, 2.0)) == Limits(devices.SECONDS_ON_GPU, math.inf)
    assert devices.limits_on("cuda", Limits(60.0, 2.0)).seconds == 60.0


def test_processes_may_have_no_limit_of_memory() -> None:
    entry = entry_of("sync_batch_norm")
    case = ranks_case(entry, SynchronizedDraw(ranks=2))
    claim = Implementation(entry.name, f"{CODE}/right.py:WithoutLimit", {"ranks": "2"})
    with pytest.raises(CallError, match="the address space is limited"):
        RankProcesses(claim, entry).call(case, False)

    free = RankProcesses(claim, entry, Limits(gigabytes=math.inf))
    assert len(free.call(case, False)) == 2
    free.close()


def test_the_environment_is_that_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch adds when it starts CUDA is no side effect of the code under test."""
    monkeypatch.setenv("TORCH_NCCL_BLOCKING_WAIT", "0")
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    before = dict(os.environ)
    with devices.connecting():
        assert os.environ["TORCH_NCCL_BLOCKING_WAIT"] == "1"
        assert os.environ["GLOO_SOCKET_IFNAME"].startswith("lo")
        os.environ["CUDA_MODULE_LOADING"] = "LAZY"

    assert dict(os.environ) == before


def rank(target: Any, what: str) -> Rank:
    """A process that has not joined others, with a class or function of torch."""
    parameters, domain = taken(target, "it") if what == CLASS else ({}, Taken((), FUNCTION))
    return Rank(entry_of("sync_batch_norm"), "it", target, parameters, domain, LocalTensors(), timedelta(seconds=1))


def test_tensors_and_layers_lie_on_the_device() -> None:
    """Told by the device of torch that computes nothing."""
    (shard, *_) = ranks_case(entry_of("sync_batch_norm"), SynchronizedDraw()).shards()
    with on("meta"):
        layer = rank(torch.nn.BatchNorm1d, CLASS)._layer(shard)
        held = rank(torch.nn.functional.batch_norm, FUNCTION)._layer(shard).held
        x = LocalTensors().given(shard.x, shard, 0)

    assert layer.module is not None
    assert {one.device.type for one in (x, *layer.module.state_dict().values(), *held.values())} == {"meta"}


@pytest.mark.parametrize("how", WRAPPERS)
def test_a_layer_is_moved_before_it_is_wrapped(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper is given a layer whose buffers are on the device too; from the meta device it is filled there."""
    seen: list[tuple[str, str]] = []

    def wrap(module: torch.nn.Module, **_: Any) -> torch.nn.Module:
        seen.append((how, module.get_buffer("running_mean").device.type))
        raise StopIteration

    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", wrap)
    monkeypatch.setattr("torch.distributed.fsdp.fully_shard", wrap)
    monkeypatch.setattr("torch.distributed.device_mesh.init_device_mesh", lambda kind, shape: (kind, shape))
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 1)
    with on("meta"), pytest.raises(StopIteration):
        wrapping.wrapped(lambda: torch.nn.BatchNorm1d(3), how, {})

    assert seen == [(how, "meta")]


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=3, OpType=ALLREDUCE) ran", True),
        (
            "NCCL error: ncclRemoteError: A call failed possibly due to a network error or a remote process exiting",
            True,
        ),
        ("NCCL error: ncclInvalidUsage: Duplicate GPU detected", False),
    ],
)
def test_a_call_of_nccl_that_waits_in_vain_is_told_from_one_that_fails(text: str, waits: bool) -> None:
    (shard, *_) = ranks_case(entry_of("sync_batch_norm"), SynchronizedDraw()).shards()
    with pytest.raises(CallError) as error, rank(torch.nn.BatchNorm1d, CLASS)._guarded(shard):
        raise torch.distributed.DistBackendError(text)

    assert error.value.reason.startswith(WAITING) == waits


def test_code_that_asks_for_a_gpu_is_told_how_it_gets_one() -> None:
    with pytest.raises(UsageError) as error:
        families.bind(Implementation("sync_batch_norm", "torch.nn:SyncBatchNorm"))

    assert str(error.value) == (
        "torch.nn:SyncBatchNorm needs CUDA, and its processes run on the CPU here with gloo: it raised ValueError: "
        "SyncBatchNorm expected input tensor to be on GPU or XPU or privateuseone; where there are GPUs, "
        "--norm-device cuda gives one to each"
    )


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """A run of the suite on a kind of several processes."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--norm-effort", "quick", *words]
    return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)


def test_the_option_names_the_processor_too() -> None:
    target = f"sync_batch_norm={CODE}/right.py:TwoReductions"
    done = run("--norm", target, "--norm-ranks", "2", "--norm-device", "cpu", "-k", "sync-output or sync-wrapped")

    assert done.returncode == 0, done.stdout


def test_a_machine_without_gpus_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = run("--norm", "sync_batch_norm=torch.nn:SyncBatchNorm", "--norm-ranks", "2", "--norm-device", "cuda")

    assert done.returncode == 4
    assert "--norm-device cuda: there is no such CUDA device, torch sees none on this machine" in done.stderr


def test_synchronized_batch_norm_of_torch_on_gpus() -> None:
    """For real, where there are two GPUs."""
    if torch.cuda.device_count() < 2:
        pytest.skip("this machine has not two GPUs: NCCL is not tested")
    done = run("--norm", "sync_batch_norm=torch.nn:SyncBatchNorm", "--norm-ranks", "2", "--norm-device", "cuda")

    assert done.returncode == 0, done.stdout


def test_a_case_is_run_again_on_its_device() -> None:

    (claim,) = claims(["sync_batch_norm=torch.nn:SyncBatchNorm"], {})
    subject: Any = type("Bound", (), {"contract": contract({})})
    with on("cuda"):
        command = replay_command(claim, subject, "sync-output {}")

    assert "--norm-device cuda --norm-replay" in command
    assert "--norm-device" not in replay_command(claim, subject, "sync-output {}")
