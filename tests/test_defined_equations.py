"""Solved equations in a traced forward: their error is bounded, and a worse algorithm is beyond the bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normcheck.core.errors import UsageError
from normcheck.core.floats import FLOAT32, Array
from normcheck.families.defined.tracing.arithmetic import Arithmetic
from normcheck.families.defined.tracing.gradients import gradients
from normcheck.families.defined.tracing.linear import eliminated, solution
from normcheck.families.defined.tracing.traced import Traced

BY = Arithmetic(FLOAT32.u)


def rounded(rng: np.random.Generator, *shape: int) -> Array:
    return np.asarray(rng.standard_normal(shape).astype(np.float32), dtype=np.float64)


def traced(value: Array, live: bool = False) -> Traced:
    return Traced(value, np.zeros(value.shape), BY, live=live)


def test_the_factors_are_those_of_elimination_with_partial_pivoting() -> None:
    """|L| |U| of a matrix by hand: the rows are exchanged, l = 1/2, u = (4 2; 0 -5)."""
    assert np.array_equal(eliminated(np.array([[2.0, -4.0], [4.0, 2.0]])), np.array([[2.0, 6.0], [4.0, 2.0]]))


@pytest.mark.parametrize("n", [1, 2, 5, 12, 40])
@pytest.mark.parametrize("way", ["solve", "inverse", "from the right"])
def test_right_code_in_float32_is_within_the_bound(n: int, way: str) -> None:
    """Elimination, a product with an inverse, and equations of the transposed matrix."""
    rng = np.random.default_rng(n)
    for _ in range(20):
        a, b = rounded(rng, n, n) + 2.0 * np.eye(n), rounded(rng, n, 3)
        exact, off = solution(a, np.zeros(a.shape), b, np.zeros(b.shape), FLOAT32.u)
        narrow, right = a.astype(np.float32), b.astype(np.float32)
        found: Any = {
            "solve": lambda: np.linalg.solve(narrow, right),  # noqa: B023  # called in this turn
            "inverse": lambda: np.linalg.inv(narrow) @ right,  # noqa: B023
            "from the right": lambda: np.linalg.solve(narrow.T.copy().T, right),  # noqa: B023
        }[way]()

        assert np.all(np.abs(found - exact) <= off)


def test_elimination_without_pivoting_is_beyond_the_bound() -> None:
    """A small pivot loses the digits of all that is subtracted from it."""
    a, b = np.array([[2.0**-30, 1.0], [1.0, 1.0]]), np.array([[1.0], [2.0]])
    exact, off = solution(a, np.zeros((2, 2)), b, np.zeros((2, 1)), FLOAT32.u)
    factor = np.float32(1.0) / np.float32(a[0, 0])
    last = (np.float32(2.0) - factor * np.float32(1.0)) / (np.float32(1.0) - factor * np.float32(1.0))
    first = (np.float32(1.0) - last) / np.float32(a[0, 0])

    assert np.isfinite(off).all()
    assert abs(first - exact[0, 0]) > 1e4 * off[0, 0]


def test_errors_of_matrix_and_right_side_are_passed_on() -> None:
    """To first order: the solution of equations that are changed within their errors stays within the bound."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((6, 6)) + 3.0 * np.eye(6), rng.standard_normal((6, 2))
    a_off, b_off = 1e-9 * rng.random((6, 6)), 1e-9 * rng.random((6, 2))
    exact, off = solution(a, a_off, b, b_off, 2.0**-53)
    for _ in range(50):
        moved = np.linalg.solve(a + a_off * rng.choice((-1, 1), (6, 6)), b + b_off * rng.choice((-1, 1), (6, 2)))

        assert np.all(np.abs(moved - exact) <= off)


def test_near_a_singular_matrix_there_is_no_bound() -> None:
    a = np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-22]])
    _, off = solution(a, np.zeros((2, 2)), np.ones((2, 1)), np.zeros((2, 1)), FLOAT32.u)

    assert np.isinf(off).all()


def test_gradients_have_a_bound_that_float32_keeps() -> None:
    """dB = A^-T dX, dA = -dB X^T."""
    rng = np.random.default_rng(2)
    a, b, dx = rounded(rng, 8, 8) + 3.0 * np.eye(8), rounded(rng, 8, 3), rounded(rng, 8, 3)
    leaves = [traced(a, live=True), traced(b, live=True)]
    da, db = gradients(np.linalg.solve(*leaves), dx, leaves)  # type: ignore[call-overload]  # a traced value
    narrow = a.astype(np.float32)
    found = np.linalg.solve(narrow.T, dx.astype(np.float32))
    by_matrix = -found @ np.linalg.solve(narrow, b.astype(np.float32)).T

    assert np.all(np.abs(found - db.value) <= db.off)
    assert np.all(np.abs(by_matrix - da.value) <= da.off)
    assert da.off.max() < 0.01 * np.abs(da.value).max()


def test_equations_for_a_vector_are_refused() -> None:
    with pytest.raises(UsageError, match="write it with two axes"):
        np.linalg.solve(traced(np.eye(2)), np.ones(2))  # type: ignore[call-overload]  # a traced value
