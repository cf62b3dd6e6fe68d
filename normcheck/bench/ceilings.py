"""The bandwidth curve of each device of this machine, measured once in a run."""

from __future__ import annotations

from normcheck.bench.bandwidth import SMALLEST, BandwidthCurve, measure_curve, sizes_for
from normcheck.bench.device import Device
from normcheck.bench.torch_device import HOST

_MEASURED: dict[tuple[str, int], BandwidthCurve] = {}


def bandwidth_curve(device: Device = HOST) -> BandwidthCurve:
    """The curve of a device for its current number of threads; the first call takes seconds to measure it."""
    caches, users = device.caches(), device.cache_users()
    key = device.name, users
    if key not in _MEASURED:
        _MEASURED[key] = measure_curve(sizes_for(caches, users), caches, device.streams(), device.clock, users)
    return _MEASURED[key]


def measure_again(size: int, device: Device = HOST) -> BandwidthCurve:
    """The curve measured anew at the two powers of two around a size: for a result that seems to exceed it."""
    below = 1 << max(size.bit_length() - 1, SMALLEST.bit_length() - 1)
    return measure_curve((below, 2 * below), device.caches(), device.streams(), device.clock, device.cache_users())
