"""Solved equations and exponentials of matrices in a traced forward: right code in float32 is within their bound.

An algorithm that loses digits, elimination without pivoting or a series of large terms, is beyond it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from normcheck.core.errors import UsageError
from normcheck.core.floats import FLOAT32, Array
from normcheck.families.defined import bounds
from normcheck.families.defined.tracing.arithmetic import Arithmetic
from normcheck.families.defined.tracing.exponential import expm
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


def skew(rng: np.random.Generator, n: int, size: float) -> Array:
    a = rounded(rng, n, n) * size
    return a - a.T


def test_the_exponential_of_a_turn_is_that_turn() -> None:
    """exp(t J) = cos t I + sin t J, and its derivative by t is J exp(t J)."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    for angle in (0.0, 0.3, 5.0, 40.0):
        exact = np.cos(angle) * np.eye(2) + np.sin(angle) * turn
        leaf = Traced(angle * turn, np.zeros((2, 2)), Arithmetic(2.0**-53), live=True)
        made, dy = expm(leaf), np.array([[1.0, 2.0], [3.0, 5.0]])
        (da,) = gradients(made, dy, [leaf])

        assert np.all(np.abs(made.value - exact) <= made.off)
        assert np.all(np.abs(expm(angle * turn) - exact) <= made.off)
        assert abs((da.value * turn).sum() - (dy * (turn @ exact)).sum()) <= 2.0 * da.off.max()
        assert made.off.max() < 1e-13 * (1.0 + angle)


@pytest.mark.parametrize("n", [2, 5, 12, 33])
@pytest.mark.parametrize("size", [2.0**-9, 1.0, 8.0])
def test_exponentials_and_their_gradients_in_float32_are_within_the_bound(n: int, size: float) -> None:
    """Those of numpy in the same steps, and of torch in others."""
    rng = np.random.default_rng(n)
    for _ in range(5):
        a, dy = skew(rng, n, size), rounded(rng, n, n)
        leaf = traced(a, live=True)
        made = expm(leaf)
        (da,) = gradients(made, dy, [leaf])
        tensor = torch.tensor(a, dtype=torch.float32, requires_grad=True)
        found = torch.matrix_exp(torch.stack((tensor, tensor)))[0]  # one alone has a wrong coefficient, pytorch#196592
        found.backward(torch.tensor(dy, dtype=torch.float32))  # type: ignore[no-untyped-call]

        assert tensor.grad is not None
        assert np.all(np.abs(expm(a.astype(np.float32)) - made.value) <= made.off)
        assert np.all(np.abs(found.detach().numpy() - made.value) <= bounds.OTHERS * made.off)
        assert np.all(np.abs(tensor.grad.numpy() - da.value) <= bounds.OTHERS * da.off)


def test_errors_of_the_matrix_are_passed_on_to_its_exponential() -> None:
    rng = np.random.default_rng(3)
    a, off = skew(rng, 6, 1.0), 1e-9 * rng.random((6, 6))
    made = expm(Traced(a, off, Arithmetic(2.0**-53), live=True))
    for _ in range(50):
        assert np.all(np.abs(expm(a + off * rng.choice((-1, 1), (6, 6))) - made.value) <= made.off)


def test_a_series_of_large_terms_is_beyond_the_bound() -> None:
    """Without scaling, terms of a size of e^12 cancel to entries of a size of 1."""
    a = skew(np.random.default_rng(4), 5, 3.0)
    made, narrow = expm(traced(a)), a.astype(np.float32)
    term = found = np.eye(5, dtype=np.float32)
    for k in range(1, 120):
        term = (term @ narrow / np.float32(k)).astype(np.float32)
        found = found + term

    assert np.isfinite(made.off).all()
    assert np.abs(found - made.value).max() > 3.0 * made.off.max()


def test_an_exponential_that_is_all_rounding_has_no_bound() -> None:
    made = expm(traced(skew(np.random.default_rng(5), 8, 2.0**22)))

    assert np.isinf(made.off).all()
