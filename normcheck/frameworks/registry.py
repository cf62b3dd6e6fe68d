"""Which framework a target belongs to. A framework is imported only if the target belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from normcheck.core.claim import Implementation
from normcheck.core.subject import BoundSubject


def binder_of(package: str) -> Callable[[Implementation, Any], BoundSubject]:
    """Binds implementations of a family by the file of that package that is named after the target's framework."""

    def bind(claim: Implementation, entry: Any) -> BoundSubject:
        found: BoundSubject = import_module(f"{package}.torch").subject(claim, entry)
        return found

    return bind
