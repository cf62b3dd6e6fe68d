"""The mark of an implementation in a project's own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from normcheck.core.errors import UsageError

Marked = TypeVar("Marked")


def normalizer(kind: str, *, contract: Mapping[str, str] | None = None) -> Callable[[Marked], Marked]:
    """Mark a function or class as an implementation of a kind; it stays as it is.

    `pytest --norm-package mypkg` checks all code that is marked in the files of mypkg. It reads the marks in their
    source, so that nothing is imported for that, and both arguments must be literals:

        @normcheck.normalizer("layer_norm", contract={"eps-place": "outside"})
        def fast_layer_norm(x, weight, bias, eps=1e-5): ...

    contract: the conventions that differ from the default. Raises `UsageError` for a mark without a kind.
    """
    if not isinstance(kind, str):
        raise UsageError('a mark names its kind, as in @normcheck.normalizer("layer_norm")')
    return lambda marked: marked
