"""Hypothesis strategies for draws: a few sampled choices, from which a case follows.

A choice is drawn as an integer far from those that occur in code. `st.sampled_from` would draw a small one, and
Hypothesis draws small integers partly from the constants of all modules loaded from outside site-packages: the cases of
a search would then depend on the code of the project, and the same seed would not find the same case again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from normcheck.core.space import CaseSpace
from normcheck.core.subject import BoundSubject

FAR = 3**38 + 5
"""An integer such that neither it nor one near it is written in any code, this line included."""


@st.composite
def draws_from(draw: st.DrawFn, space: CaseSpace, subject: BoundSubject) -> Any:
    """Draws of a space that a subject can serve; they shrink towards the first choice of every list."""

    def pick(options: Sequence[Any]) -> Any:
        if len(options) == 1:
            return options[0]
        return options[draw(st.integers(FAR, FAR + len(options) - 1)) - FAR]

    return space.sample(subject, pick)
