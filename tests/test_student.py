"""Quantiles of Student's distribution against tables."""

from __future__ import annotations

import math

import pytest

from normcheck.bench.student import quantile, within


@pytest.mark.parametrize(
    ("freedom", "confidence", "tabled"),
    [
        (1, 0.99, 63.657), (2, 0.95, 4.303), (3, 0.95, 3.182), (5, 0.95, 2.571), (7, 0.999, 5.408), (9, 0.99, 3.250),
        (10, 0.95, 2.228), (15, 0.999, 4.073), (30, 0.95, 2.042), (60, 0.99, 2.660),
    ],
)  # fmt: skip
def test_a_quantile_is_as_tabled(freedom: int, confidence: float, tabled: float) -> None:
    """Tables of Fisher and Yates, three decimals."""
    assert quantile(freedom, confidence) == pytest.approx(tabled, abs=6e-4)


@pytest.mark.parametrize("freedom", range(1, 70))
def test_a_quantile_is_the_inverse(freedom: int) -> None:
    assert within(quantile(freedom, 0.9995), freedom) == pytest.approx(0.9995, abs=1e-12)


def test_with_many_repetitions_it_is_the_normal() -> None:
    assert quantile(100_000, 0.95) == pytest.approx(1.959964, abs=1e-4)
    assert within(1.0, 100_000) == pytest.approx(math.erf(math.sqrt(0.5)), abs=1e-5)
