"""Where each process computes and by what the processes call each other there: on the processor, or on a GPU each."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from normcheck.core.contract import VALUES
from normcheck.core.device import PROCESSOR
from normcheck.core.errors import UsageError
from normcheck.core.limits import Limits

CUDA = "cuda"

BACKENDS = {PROCESSOR: "gloo", CUDA: "cpu:gloo,cuda:nccl"}
"""Each type of device to the backend of `torch.distributed`.

Beside NCCL there is gloo, as where no backend is named: counts and pickled objects that code exchanges on the processor
take no way through the GPU, and neither do barriers.
"""

FEWEST = min(map(int, VALUES["ranks"]))

SECONDS_ON_GPU = 30.0
"""Of one call there, at least: its kernels are loaded, and a new group of processes connects, at the first."""


@dataclass(frozen=True, slots=True)
class RankDevice:
    """The device of one process, as torch spells it, and the backend of all processes."""

    name: str
    backend: str


def rank_devices(device: str, ranks: int, gpus: Callable[[], int]) -> tuple[RankDevice, ...]:
    """The device of each process of a run on a device. gpus: counts those that torch sees.

    Raises `UsageError` if there are fewer GPUs than processes: NCCL takes no two processes on one GPU.
    """
    kind, _, number = device.partition(":")
    if kind == PROCESSOR:
        return (RankDevice(PROCESSOR, BACKENDS[kind]),) * ranks
    each = f"--norm-device {device}: each of {ranks} processes needs a GPU of its own"
    if number:
        raise UsageError(f"{each}: write --norm-device {CUDA}; CUDA_VISIBLE_DEVICES selects which ones")
    there = gpus()
    if there < ranks:
        fewer = f"ask for --norm-ranks {there}, or " if there >= FEWEST else ""
        raise UsageError(f"{each}, and torch sees {there or 'none'}: {fewer}leave the option out for {PROCESSOR}")
    return tuple(RankDevice(f"{CUDA}:{rank}", BACKENDS[kind]) for rank in range(ranks))


def limits_on(device: str, limits: Limits) -> Limits:
    """The limits of a process. CUDA reserves more addresses than a machine has memory, so these have none there."""
    if device == PROCESSOR:
        return limits
    return replace(limits, seconds=max(limits.seconds, SECONDS_ON_GPU), gigabytes=math.inf)


@contextlib.contextmanager
def connecting() -> Iterator[None]:
    """The environment in which groups of processes are made; afterwards it is as before.

    gloo uses the loopback interface, whatever the name of this machine resolves to. A call of NCCL that waits in vain
    raises in its process, as those of gloo do; else NCCL would end the process that waits, which is not the one at
    fault.
    """
    loopback = "lo" if sys.platform.startswith("linux") else "lo0"
    before = dict(os.environ)
    os.environ |= {"GLOO_SOCKET_IFNAME": loopback, "TORCH_NCCL_BLOCKING_WAIT": "1"}
    try:
        yield
    finally:
        for name in [name for name, value in os.environ.items() if before.get(name) != value]:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
