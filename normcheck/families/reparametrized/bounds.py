"""How far a correct layer in refreshed coordinates may be off: first order, norm-wise where matrices are inverted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.reparametrized import affine, perceptron
from normcheck.families.reparametrized.affine import AffineGeometry, lifted
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.perceptron import Bend, Weights
from normcheck.normalizers.bounds.bounds import RESOLVES, SOUND


def roundings(members: int, size: int) -> float:
    """Roundings of a sum over members, and of products of matrices of that size."""
    return SOUND.summed(members) + 2.0 * size


def _rows(a: Array) -> Array:
    """Lengths of rows, as a column."""
    return np.asarray(np.linalg.norm(a, axis=1, keepdims=True))


def _ends(metric: Array) -> tuple[float, float]:
    values = np.linalg.eigvalsh(metric)
    return float(values[0]), float(values[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Slips:
    """What the statistics of a geometry may be off by: the length of a center's error, and those of the inverses'."""

    center: float
    inner: float
    outer: float
    resolved: bool


def _inverse_slip(metric: Array, off_rows: float, count: float, u: float) -> tuple[float, bool]:
    """The matrix whose inverse the metric is: twice the error of its rows, and its sums; what is given is exact."""
    if np.array_equal(metric, np.eye(len(metric))):
        return 0.0, True
    total = float(np.trace(np.linalg.inv(metric)))
    off = 2.0 * np.sqrt(total) * off_rows + count * u * total
    return off, off * _ends(metric)[1] < RESOLVES


def slips(g: AffineGeometry, x: Array, u: float) -> Slips:
    """x: the inputs of the refresh."""
    count = roundings(*x.shape)
    centered = bool(g.center.any())
    off_center = count * u * float(np.linalg.norm(np.abs(x).max(axis=0))) if centered else 0.0
    inner, seen = _inverse_slip(g.metric, 2.0 * off_center, count, u)
    outer, known = _inverse_slip(g.outer, 0.0, count, u)
    return Slips(off_center, inner, outer, seen and known)


@dataclass(frozen=True, slots=True, eq=False)
class Lengths:
    """Of rows z = x~ - c, as columns: |z|, |U z| with U^T U the metric S, |S z|, and the error of z."""

    plain: Array
    turned: Array
    pulled: Array
    off: Array


def _lengths(g: AffineGeometry, slip: Slips, x: Array, u: float) -> Lengths:
    rows = lifted(x)
    z = rows - g.center
    pulled = z @ g.metric
    turned = np.sqrt(np.maximum((pulled * z).sum(axis=1, keepdims=True), 0.0))
    off = slip.center + 2.0 * u * (_rows(rows) + np.linalg.norm(g.center))
    return Lengths(_rows(z), turned, _rows(pulled), off)


def function(matrix: Array, g: AffineGeometry, x: Array, u: float) -> Array:
    """Outputs of a layer that computes V T x~ for M x~, (cases, 1).

    V = M T^-1 is off by its roundings times the condition of T, which multiply |T x~|; what a center takes away is put
    back by a bias.
    """
    count = roundings(0, len(g.center) + len(matrix))
    turned = _lengths(g, Slips(0.0, 0.0, 0.0, resolved=True), x, u).turned
    (low, high), (small, large) = _ends(g.metric), _ends(g.outer)
    size = np.sqrt(high / low) * turned / np.sqrt(low) + _rows(lifted(x)) + 2.0 * np.linalg.norm(g.center)
    return np.asarray(count * u * np.sqrt(large / small) * np.linalg.norm(matrix) * size)


def step(g: AffineGeometry, slip: Slips, batch: tuple[Array, Array], x: Array, rate: float, u: float) -> Array:
    """What a step moves outputs by may be off by, (cases, 1): each case m of the batch moves them by z_m^T S z Q dy_m.

    An error e of the inverse of S changes z_m^T S z by |S z_m| e |S z|, whatever the condition of S.
    """
    given, dy = batch
    count = roundings(*given.shape) + 2.0 * dy.shape[1]
    high, large = _ends(g.metric)[1], _ends(g.outer)[1]
    kept, off_kept = 1.0, 0.0
    if g.keeps:
        kept = affine.length_kept(lifted(given), g.metric) * affine.length_kept(dy, g.outer)
        off_kept = count * u + slip.inner * high + slip.outer * large
    here, there, strong = _lengths(g, slip, x, u), _lengths(g, slip, given, u), _rows(dy)
    plain, turned, pulled, off = (
        float((strong * part).sum()) for part in (there.plain, there.turned, there.pulled, there.off)
    )
    inner = slip.inner * pulled * here.pulled + off * here.pulled + pulled * here.off
    inner = inner + count * u * np.sqrt(high) * (plain * here.turned + turned * here.plain)
    outer = slip.outer * large**2 + (off_kept + count * u) * large
    return np.asarray(rate * kept * (large * inner + outer * turned * here.turned))


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What hidden nodes and their slopes may be off by, (cases, hidden): own roundings, and those of statistics."""

    arriving: Array
    value: Array
    slope: Array
    size: Array  # of what is summed to a value
    off_slope: Array  # (hidden,), of alpha
    off_shift: Array


def hidden(weights: Weights, bend: Bend, x: Array, u: float) -> Heard:
    """tanh and its derivative are off by a few roundings, and by those of their argument."""
    inner, bias = weights[0], weights[1]
    a = perceptron.arriving(weights, x)
    count = roundings(len(x), 0)
    arriving = roundings(0, inner.shape[1]) * u * (np.abs(x) @ np.abs(inner).T + np.abs(bias))
    size = 1.0 + np.abs(bend.slope * a) + np.abs(bend.shift)
    value = (1.0 + np.abs(bend.slope)) * arriving + 4.0 * u * size
    off_slope = count * u + arriving.mean(axis=0)
    off_shift = (value + count * u * size + off_slope * np.abs(a)).mean(axis=0)
    return Heard(arriving, value, arriving + count * u, size, off_slope, off_shift)


def heard_at(case: ReparametrizedCase) -> Heard:
    """On the batch of the refresh itself."""
    inner, bias, outer, short, shift = case.weights
    weights, x = (inner, bias, outer, short, shift), case.batches[0][0]
    return hidden(weights, perceptron.chosen(weights, x), x, case.format.u)


def outputs(weights: Weights, before: Bend, bend: Bend, x: Array, u: float) -> Array:
    """Outputs after a refresh that changed the bend, (cases, outputs): a forward, and what was moved into C and c."""
    inner, bias, outer, short, shift = (np.abs(w) for w in weights)
    heard = hidden(weights, bend, x, u)
    count = roundings(0, sum(inner.shape))
    moved = np.abs(bend.slope) + np.abs(before.slope)
    carried = np.abs(x) @ (outer @ (moved[:, None] * inner)).T
    carried = carried + outer @ (moved * bias + np.abs(bend.shift) + np.abs(before.shift))
    plain = heard.size @ outer.T + np.abs(x) @ short.T + shift
    return np.asarray(heard.value @ outer.T + count * u * (carried + plain))


def stepped(weights: Weights, bend: Bend, batch: tuple[Array, Array], x: Array, rate: float, u: float) -> Array:
    """Outputs after a refresh and a step, (cases, outputs): each weight is off by its gradient's error."""
    given, dy = batch
    after = perceptron.stepped(weights, bend, given, dy, rate)
    heard, later = hidden(weights, bend, given, u), hidden(after, bend, x, u)
    a, slope = perceptron.arriving(weights, given), heard.slope + heard.off_slope
    count = roundings(len(given), dy.shape[1])
    sent = np.abs(dy) @ np.abs(weights[2])
    bent = np.abs(1.0 - np.tanh(a) ** 2 + bend.slope)
    off_back = sent * slope + count * u * sent * bent
    value = heard.value + heard.off_slope * np.abs(a) + heard.off_shift
    off_inner = rate * (off_back + count * u * sent * bent).T @ np.abs(given) + 2.0 * u * np.abs(after[0])
    off_bias = rate * (off_back + count * u * sent * bent).sum(axis=0) + 2.0 * u * np.abs(after[1])
    off_outer = rate * np.abs(dy).T @ (value + count * u * heard.size) + 2.0 * u * np.abs(after[2])
    off_short = rate * count * u * np.abs(dy).T @ np.abs(given) + 2.0 * u * np.abs(after[3])
    off_last = rate * count * u * np.abs(dy).sum(axis=0) + 2.0 * u * np.abs(after[4])
    passed = (np.abs(x) @ off_inner.T + off_bias) * (1.0 + np.abs(bend.slope))
    reach, now = np.abs(after[2]) + np.abs(weights[2]), perceptron.arriving(after, x)
    before = perceptron.arriving(weights, x)
    blurred = heard.off_slope * (np.abs(now) + np.abs(before)) + heard.off_shift
    off = passed @ np.abs(after[2]).T + later.size @ off_outer.T + np.abs(x) @ off_short.T + off_last
    off = off + blurred @ reach.T
    return np.asarray(off + outputs(after, perceptron.straight(weights), bend, x, u))
