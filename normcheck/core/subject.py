"""An implementation that is bound and can be asked: what every family's subjects offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from normcheck.core.contract import Contract
from normcheck.core.spec import Entry


class BoundSubject(Protocol):
    """An implementation of any family, bound and ready to answer its checks."""

    @property
    def name(self) -> str: ...

    @property
    def entry(self) -> Entry:
        """What it claims to be."""
        ...

    @property
    def contract(self) -> Contract: ...

    @property
    def absent(self) -> Mapping[str, str]:
        """What is not offered, with the reason."""
        ...
