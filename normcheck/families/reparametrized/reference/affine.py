"""Steps of an affine layer in another geometry, in float64: W x + b as gradient descent moves it in new coordinates.

The layer is one matrix M = [W b] on x~ = (x, 1). With V = M T^-1 the function is V T x~ for any T. Gradient descent on
V, T constant, moves M by -lr (dy^T x~) T^T T. A method is therefore given by a center c and a metric S,
with T^T T = (I - c e^T)^T S (I - c e^T) and e the last unit vector, and by a metric of the outputs' derivatives:

    mean        c = mean(x), S = I                               (Wiesler, Richard, Schlueter, Ney 2014)
    covariance  c = mean(x), S = (cov(x) + eps I)^-1, and 1      (Desjardins et al. 2015)
    scatter     c = 0, S = (F + alpha tr(F) / size I)^-1, F = x~^T x~ / cases, the outputs' likewise, and every factor
                of the gradient kept as long as it was           (Povey, Zhang, Khudanpur 2014)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array


@dataclass(frozen=True, slots=True, eq=False)
class AffineGeometry:
    """center: (inputs + 1,), its last entry 0; metric: (inputs + 1, inputs + 1); outer: (outputs, outputs)."""

    center: Array
    metric: Array
    outer: Array
    keeps: bool = False  # each factor of a gradient is given back the length that it had


Estimate = Callable[[Array, Array, float], AffineGeometry]
"""The geometry from a batch x (cases, inputs), dy (cases, outputs) and the damping."""


def lifted(x: Array) -> Array:
    """(cases, inputs) with a one behind each."""
    return np.hstack([x, np.ones((len(x), 1), x.dtype)])


def flat(inputs: int, outputs: int) -> AffineGeometry:
    """The geometry of gradient descent on W and b."""
    return AffineGeometry(np.zeros(inputs + 1), np.eye(inputs + 1), np.eye(outputs))


def covariance(x: Array) -> Array:
    """Covariance of x, (inputs, inputs), divided by the number of cases."""
    centered = x - x.mean(axis=0)
    return np.asarray(centered.T @ centered / len(x))


def smoothed(rows: Array, alpha: float) -> Array:
    """Scatter of rows around zero, with alpha times its mean eigenvalue added to each eigenvalue."""
    scatter = rows.T @ rows / len(rows)
    size = len(scatter)
    return np.asarray(scatter + alpha * np.trace(scatter) / size * np.eye(size, dtype=rows.dtype))


def by_mean(x: Array, dy: Array, damping: float) -> AffineGeometry:
    """Centered inputs, not scaled; there is no damping."""
    plain = flat(x.shape[1], dy.shape[1])
    return AffineGeometry(np.append(x.mean(axis=0), 0.0), plain.metric, plain.outer)


def by_covariance(x: Array, dy: Array, damping: float) -> AffineGeometry:
    """Whitened inputs; damping is eps."""
    size = x.shape[1]
    metric = np.eye(size + 1)
    metric[:size, :size] = np.linalg.inv(covariance(x) + damping * np.eye(size))
    return AffineGeometry(np.append(x.mean(axis=0), 0.0), metric, np.eye(dy.shape[1]))


def by_scatter(x: Array, dy: Array, damping: float) -> AffineGeometry:
    """Inputs, with their one, and derivatives of outputs by smoothed scatters; damping is alpha."""
    center = np.zeros(x.shape[1] + 1)
    inner, outer = (np.linalg.inv(smoothed(rows, damping)) for rows in (lifted(x), dy))
    return AffineGeometry(center, np.asarray(inner), np.asarray(outer), keeps=True)


def length_kept(rows: Array, metric: Array) -> float:
    """The factor that gives rows times a metric the length of the rows."""
    return float(np.linalg.norm(rows) / np.linalg.norm(rows @ metric))


def move(g: AffineGeometry, x: Array, dy: Array) -> Array:
    """What a step at rate one subtracts from M, (outputs, inputs + 1)."""
    rows = lifted(x) - g.center
    kept = length_kept(rows, g.metric) * length_kept(dy, g.outer) if g.keeps else 1.0
    direct = kept * g.outer @ dy.T @ rows @ g.metric
    direct[:, -1] -= direct @ g.center
    return np.asarray(direct)
