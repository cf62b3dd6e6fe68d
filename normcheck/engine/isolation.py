"""Which implementations of a run have a process of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.limits import Isolation, Limits
from normcheck.frameworks.isolation.native_code import native_code


def isolation(limits: Limits, claims: Iterable[Any], *, every: bool) -> Isolation:
    """That of all implementations, or of those alone whose code can end its process.

    claims: as a command line has them. Raises `UsageError` for one of these without a kind: to identify it would call
    it in this process.
    """
    for claim in claims:
        if not isinstance(claim, str) or "=" in claim.partition("(")[0]:
            continue
        if every:
            raise UsageError(f"{claim}: isolation needs its kind, as in --norm layer_norm={claim} --norm-isolate")
        if what := native_code(claim):
            raise UsageError(
                f"{claim}: {what} is checked in a process of its own, which needs its kind: "
                f"--norm layer_norm={claim}; with --norm-in-process it is called in this one"
            )
    return Isolation(limits, every)
