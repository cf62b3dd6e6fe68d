"""Function transforms of torch without its compiler: loading that takes two seconds, and they do not need it.

The backward of `torch.func.grad` and `vjp` switches compiled autograd off, for which it loads all of `torch._dynamo`.
While that is not loaded nothing can have switched compiled autograd on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any

import torch

ATTRIBUTE = "_dynamo"
MODULE = f"{torch.__name__}.{ATTRIBUTE}"


class _NotLoaded:
    """Stands in for the compiler until compiled autograd is switched off, or anything else of it is used."""

    @property
    def compiled_autograd(self) -> _NotLoaded:
        return self

    def _disable(self) -> AbstractContextManager[None]:
        _remove()  # the backward that now begins, which is code under test, finds torch as it is
        return nullcontext()

    def __getattr__(self, name: str) -> Any:
        _remove()
        return getattr(import_module(MODULE), name)


def _remove() -> None:
    if isinstance(vars(torch).get(ATTRIBUTE), _NotLoaded):
        del vars(torch)[ATTRIBUTE]


@contextmanager
def without_compiler() -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
    """A function through which an output passes that is differentiated next, by a transform; it returns it as it is."""

    def before_backward(output: torch.Tensor) -> torch.Tensor:
        if MODULE not in sys.modules:
            vars(torch)[ATTRIBUTE] = _NotLoaded()
        return output

    try:
        yield before_backward
    finally:
        _remove()
