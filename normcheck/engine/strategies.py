"""Hypothesis recipes: a few sampled choices, from which a case follows.

A choice is drawn as an integer far from those that anybody writes. `st.sampled_from` draws a small one, and integers
are drawn among others from the constants of all modules that are loaded from outside site-packages: what a search asks
would depend on the code of the project around it, and on the order in which tests import it. The same seed would not
find the same case again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from normcheck.core.space import CaseSpace
from normcheck.core.subject import BoundSubject

FAR = 3**38 + 5
"""An integer that stands in no code, this line included, with none near it that does."""


@st.composite
def draws_from(draw: st.DrawFn, space: CaseSpace, subject: BoundSubject) -> Any:
    """Draws of a space that suit a subject; shrinks towards the first of every list of choices."""

    def pick(options: Sequence[Any]) -> Any:
        if len(options) == 1:
            return options[0]
        return options[draw(st.integers(FAR, FAR + len(options) - 1)) - FAR]

    return space.sample(subject, pick)
