"""How far a correct affine layer in another geometry may be off: to first order, norm-wise.

u is the unit roundoff; lengths are Euclidean, so that a bound does not depend on which root T of the metric is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.reparametrized.bounds.roundings import roundings
from normcheck.families.reparametrized.reference import affine
from normcheck.families.reparametrized.reference.affine import AffineGeometry, lifted
from normcheck.normalizers.bounds.bounds import RESOLVES


def _rows(a: Array) -> Array:
    """Lengths of rows, as a column."""
    return np.asarray(np.linalg.norm(a, axis=1, keepdims=True))


def _ends(metric: Array) -> tuple[float, float]:
    values = np.linalg.eigvalsh(metric)
    return float(values[0]), float(values[-1])


@dataclass(frozen=True, slots=True, eq=False)
class GeometryErrors:
    """What the statistics of a geometry may be off by: length of the center's error, norms of those of both inverses.

    resolved: whether these are a small share, so that first-order analysis holds.
    """

    center: float
    inner: float
    outer: float
    resolved: bool


def _inverse_error(metric: Array, off_rows: float, count: float, u: float) -> tuple[float, bool]:
    """The error of the matrix of which the metric is the inverse, and whether it is a small share of it.

    A matrix rows^T rows is off by 2 sqrt(trace) times the error of its rows, and by its sums. The identity is exact.
    """
    if np.array_equal(metric, np.eye(len(metric))):
        return 0.0, True
    total = float(np.trace(np.linalg.inv(metric)))
    off = 2.0 * np.sqrt(total) * off_rows + count * u * total
    return off, off * _ends(metric)[1] < RESOLVES


def geometry_errors(g: AffineGeometry, x: Array, u: float) -> GeometryErrors:
    """Errors of the geometry that was estimated from x, the inputs of the refresh."""
    count = roundings(*x.shape)
    centered = bool(g.center.any())
    off_center = count * u * float(np.linalg.norm(np.abs(x).max(axis=0))) if centered else 0.0
    inner, seen = _inverse_error(g.metric, 2.0 * off_center, count, u)
    outer, known = _inverse_error(g.outer, 0.0, count, u)
    return GeometryErrors(off_center, inner, outer, seen and known)


@dataclass(frozen=True, slots=True, eq=False)
class RowLengths:
    """For rows z = x~ - c, (cases, 1) each: |z|, |U z| with U^T U the metric S, |S z|, and the length of z's error."""

    plain: Array
    turned: Array
    pulled: Array
    off: Array


def _lengths(g: AffineGeometry, errors: GeometryErrors, x: Array, u: float) -> RowLengths:
    rows = lifted(x)
    z = rows - g.center
    pulled = z @ g.metric
    turned = np.sqrt(np.maximum((pulled * z).sum(axis=1, keepdims=True), 0.0))
    off = errors.center + 2.0 * u * (_rows(rows) + np.linalg.norm(g.center))
    return RowLengths(_rows(z), turned, _rows(pulled), off)


def function(matrix: Array, g: AffineGeometry, x: Array, u: float) -> Array:
    """Of the outputs of a layer that computes V T x~ for M x~, (cases, 1).

    V = M T^-1 is off by its roundings times the condition of T, which multiply |T x~|; the bias adds back what the
    center subtracts.
    """
    count = roundings(0, len(g.center) + len(matrix))
    turned = _lengths(g, GeometryErrors(0.0, 0.0, 0.0, resolved=True), x, u).turned
    (low, high), (small, large) = _ends(g.metric), _ends(g.outer)
    size = np.sqrt(high / low) * turned / np.sqrt(low) + _rows(lifted(x)) + 2.0 * np.linalg.norm(g.center)
    return np.asarray(count * u * np.sqrt(large / small) * np.linalg.norm(matrix) * size)


def sent(matrix: Array, g: AffineGeometry, dy: Array, u: float) -> Array:
    """Of the gradient by x, dy W, of a layer that computes V T x~ for M x~, (cases, 1).

    V = M T^-1 is off by its roundings times the condition of T, and so is its product with T.
    """
    count = roundings(0, len(g.center) + len(matrix))
    (low, high), (small, large) = _ends(g.metric), _ends(g.outer)
    return np.asarray(count * u * np.sqrt(large / small) * high / low * np.linalg.norm(matrix) * _rows(dy))


def step(
    g: AffineGeometry, errors: GeometryErrors, batch: tuple[Array, Array], x: Array, rate: float, u: float
) -> Array:
    """Of what a step adds to outputs, (cases, 1): each case m of the batch adds z_m^T S z Q dy_m.

    An error e of the inverse of S changes z_m^T S z by |S z_m| e |S z|, for any condition of S.
    """
    given, dy = batch
    count = roundings(*given.shape) + 2.0 * dy.shape[1]
    high, large = _ends(g.metric)[1], _ends(g.outer)[1]
    kept, off_kept = 1.0, 0.0
    if g.keeps:
        kept = affine.length_kept(lifted(given), g.metric) * affine.length_kept(dy, g.outer)
        off_kept = count * u + errors.inner * high + errors.outer * large
    here, there, strong = _lengths(g, errors, x, u), _lengths(g, errors, given, u), _rows(dy)
    plain, turned, pulled, off = (
        float((strong * part).sum()) for part in (there.plain, there.turned, there.pulled, there.off)
    )
    inner = errors.inner * pulled * here.pulled + off * here.pulled + pulled * here.off
    inner = inner + count * u * np.sqrt(high) * (plain * here.turned + turned * here.plain)
    outer = errors.outer * large**2 + (off_kept + count * u) * large
    return np.asarray(rate * kept * (large * inner + outer * turned * here.turned))
