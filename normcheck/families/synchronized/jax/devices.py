"""Several devices of the CPU, on which one function is mapped: JAX makes as many as it is told before it starts."""

from __future__ import annotations

import os
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from normcheck.core.contract import VALUES
from normcheck.core.errors import UsageError

FLAG = "--xla_force_host_platform_device_count"
"""The flag in XLA_FLAGS by which users make devices of the CPU."""

OPTION = "jax_num_cpu_devices"
"""The setting of JAX for the same."""

MOST = max(map(int, VALUES["ranks"]))


def mesh(count: int, axis: str) -> Mesh:
    """A mesh of so many devices of the CPU, with one named axis.

    Raises `UsageError` if JAX has started with fewer: the number cannot change after that.
    """
    ask_for_devices()
    devices: list[Any] = jax.devices("cpu")
    if len(devices) < count:
        raise UsageError(
            f"{count} devices are needed and JAX has started with {len(devices)}: set XLA_FLAGS={FLAG}={MOST} before"
        )
    return Mesh(np.array(devices[:count]), (axis,))


def ask_for_devices() -> None:
    """Make JAX start with as many devices as a run can need; it has started already if the option cannot be set."""
    if FLAG in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update(OPTION, MOST)
    except (RuntimeError, AttributeError):  # started; a version of JAX that knows only the flag
        return
