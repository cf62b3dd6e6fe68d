"""The interface of bound implementations, the same for all families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from normcheck.core.contract import Contract
from normcheck.core.spec import Entry


class BoundSubject(Protocol):
    """An implementation of any family, bound and ready to be checked."""

    @property
    def name(self) -> str: ...

    @property
    def entry(self) -> Entry:
        """The catalog entry that it claims to implement."""
        ...

    @property
    def contract(self) -> Contract: ...

    @property
    def absent(self) -> Mapping[str, str]:
        """What the implementation does not support: the reason by capability."""
        ...

    @property
    def notes(self) -> Mapping[str, str]:
        """What binding found that is no fault and no missing capability, each with an explanation."""
        ...
