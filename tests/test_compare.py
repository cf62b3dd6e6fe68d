"""Entrywise comparison: a bound of any shape that broadcasts, numbers among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normcheck.core.compare import differ


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("allowed", [0.5, np.float64(0.5), np.full((), 0.5)], ids=["float", "scalar", "array"])
def test_a_bound_is_a_number_or_an_array(shape: tuple[int, ...], allowed: Any) -> None:
    """What is told of the worst entry is the bound at it, of a result that is a single number too."""
    expected = np.zeros(shape)
    found = differ("a law", expected + 1.0, expected, allowed)

    assert (found.allowed, found.observed, found.bound_ratio) == (0.5, 1.0, 2.0)
    assert found.compared == expected.size


def test_the_bound_of_the_worst_entry_is_told() -> None:
    found = differ("a law", np.array([1.0, 1.0]), np.zeros(2), np.array([4.0, 0.25]))

    assert (found.where, found.allowed) == ((1,), 0.25)
