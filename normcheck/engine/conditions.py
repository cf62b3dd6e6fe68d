"""The conditions under which the engine runs code of an implementation."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from normcheck.core.foreign_code import quiet
from normcheck.frameworks import registry


@contextmanager
def run_conditions() -> Iterator[None]:
    """One thread in the frameworks, and no warnings; both are as before afterwards."""
    with registry.settings(), quiet():
        yield


@contextmanager
def old_objects_set_aside() -> Iterator[None]:
    """No garbage collection examines the objects that exist now.

    A framework is a million objects that stay, and each full collection takes a third of a second with them: a fifth
    of a run. Objects that somebody has set aside before remain so. For whole runs: a full collection follows each use.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
