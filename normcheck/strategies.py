"""Hypothesis recipes: a few sampled choices, from which a case follows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from normcheck.adapters.base import Bound
from normcheck.cases import Cases


@lru_cache(maxsize=1024)
def _one_of(options: tuple[Any, ...] | range) -> st.SearchStrategy[Any]:
    """Kept, because building and validating a strategy costs more than drawing from it."""
    return st.sampled_from(options)


@st.composite
def draws_from(draw: st.DrawFn, space: Cases, subject: Bound) -> Any:
    """Draws of a space that suit a subject; shrinks towards the first of every list of choices."""

    def pick(options: Sequence[Any]) -> Any:
        if len(options) == 1:
            return options[0]
        return draw(_one_of(options if isinstance(options, range) else tuple(options)))

    return space.choose(subject, pick)
