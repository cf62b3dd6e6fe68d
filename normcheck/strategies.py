"""Hypothesis recipes: a few sampled choices, from which a case follows.

A choice is drawn bit by bit. `st.sampled_from` draws an integer, and integers are drawn among others from the constants
of all modules that are loaded from outside site-packages: what a search asks would depend on the code of the project
around it, and on the order in which tests import it. The same seed would not find the same case again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from normcheck.adapters.base import Bound
from normcheck.cases import Cases

BIT = st.booleans()


@st.composite
def draws_from(draw: st.DrawFn, space: Cases, subject: Bound) -> Any:
    """Draws of a space that suit a subject; shrinks towards the first of every list of choices."""

    def pick(options: Sequence[Any]) -> Any:
        bits = (len(options) - 1).bit_length()
        number = 0
        for _ in range(bits):
            number = 2 * number + draw(BIT)
        return options[number * len(options) >> bits]

    return space.choose(subject, pick)
