"""The ceilings of the devices of this machine, measured once in a run."""

from __future__ import annotations

import torch

from normcheck.bench.bandwidth import SMALLEST, Curve, curve, sizes_for, streams
from normcheck.bench.caches import Level, levels
from normcheck.bench.device import CPU, HOST, Device

_KNOWN: dict[tuple[str, int], Curve] = {}


def threads() -> int:
    """Threads that torch's operators use."""
    return torch.get_num_threads()


def _caches(device: Device) -> tuple[tuple[Level, ...], int]:
    """Caches of a device, and how many of its processors move bytes: a GPU's last cache is of all of them."""
    if device.name == CPU:
        return levels(), threads()
    told = device.last_cache()
    return ((Level("L2", told),) if told else ()), 1


def machine(device: Device = HOST) -> Curve:
    """The curve of a device, with as many threads as torch has: measured once in a run, in seconds."""
    told, workers = _caches(device)
    key = device.name, workers
    if key not in _KNOWN:
        _KNOWN[key] = curve(sizes_for(told, workers), told, streams(device.name), device.clock, workers)
    return _KNOWN[key]


def near(size: int, device: Device = HOST) -> Curve:
    """The ceiling measured anew, at the two powers of two around a size: for a result that seems to break it."""
    told, workers = _caches(device)
    below = 1 << max(size.bit_length() - 1, SMALLEST.bit_length() - 1)
    return curve((below, 2 * below), told, streams(device.name), device.clock, workers)
