"""The conditions under which the engine runs code of an implementation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from normcheck.core.foreign_code import quiet
from normcheck.frameworks import registry


@contextmanager
def run_conditions() -> Iterator[None]:
    """One thread in the frameworks, and no warnings; both are as before afterwards."""
    with registry.settings(), quiet():
        yield
