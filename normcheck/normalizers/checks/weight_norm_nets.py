"""Weight norm in networks: below a normalizer that subtracts the mean, and initialized by data."""

from __future__ import annotations

import numpy as np

from normcheck.core.check import Check  # fmt: skip
from normcheck.core.compare import differ  # fmt: skip
from normcheck.core.floats import Array
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds import networks
from normcheck.normalizers.bounds.contracted import backward_bound, forward_bound
from normcheck.normalizers.case import Case, Linear
from normcheck.normalizers.checks.networks import SPACE, by_layer
from normcheck.normalizers.checks.within_bounds import answer_of, gradients_of, needs_float64, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.networks import on_network
from normcheck.normalizers.subject import Subject
from normcheck.normalizers.transforms import derived_row


def weight_normed(subject: Subject, case: Case) -> Comparison:
    """Gradients of a layer t = w x below the normalizer, with weight norm w = g v / |v|, on data x and on x + c.

    If a constant in the data is subtracted, dL/dt sums to zero over the entries of a statistic, so
    dL/dw = sum dL/dt x and dL/dv = g / |v| (dL/dw - <dL/dw, v> v / |v|^2) do not depend on c. With E[x] held constant
    dL/dw changes by sum g / s times c, which is predicted.
    """
    normalizer, linear = subject.normalizer, case.linear
    assert linear is not None
    rng = np.random.default_rng((int(case.drawn["seed"]), 11))
    empty = ~linear.weights.any(axis=1, keepdims=True)
    v = linear.weights + 0.25 * empty
    length = np.linalg.norm(v, axis=1, keepdims=True)
    gain = np.exp2(rng.integers(-2, 3, length.shape)) / length
    constant = rng.integers(1, 9, v.shape[1]) / 4.0
    dy = rng.standard_normal(case.x.shape) + 0.75

    def passed(dw: Array) -> Array:
        out: Array = gain * (dw - (dw * v).sum(axis=1, keepdims=True) * v / length**2)
        return out

    def gradients(data: Array) -> tuple[Array, Array, Array]:
        """dL/dv of the implementation, of the reference, and the bound between them."""
        here = on_network(normalizer, case, Linear(data, gain * v)).but(dy=dy)
        own, truth = gradients_of(subject, here).dx, truth_of(subject, here)
        assert own is not None
        assert truth.dx is not None
        lost = networks.layer_gradient(truth.dx, backward_bound(subject, truth))
        own, exact, off = (
            np.einsum("nms,nsd->md", by_layer(normalizer, here, full), seen)
            for full, seen in ((own, data), (truth.dx, data), (lost, np.abs(data)))
        )
        return passed(own), passed(exact), networks.projected(off, v, gain)

    (one, right, off), (other, moved, more) = gradients(linear.data), gradients(linear.data + constant)
    law = "for t = w x, w = g v / |v|, dL/dv is the same for x + c"
    law = law if subject.contract.through[0] else "with E[x] held constant, dL/dv moves by sum g / s times c"
    return worst(
        differ("for t = w x, w = g v / |v|, dL/dv is the closed form", one, right, off),
        differ(law, other, one + (moved - right), off + more),
    )


def initialized(subject: Subject, case: Case) -> Comparison:
    """Lengths g = 1 / sigma[t] and biases b = -mu[t] / sigma[t] from t = v x / |v| over the data, in float64.

    With them w x + b, w by the implementation, has mean 0 and variance 1 over the data.
    """
    linear = case.linear
    assert linear is not None
    assert case.weight is not None
    data = linear.data.reshape(-1, linear.data.shape[-1])
    norm = np.linalg.norm(linear.weights, axis=1, keepdims=True)
    t = data @ (linear.weights / np.where(norm > 0.0, norm, 1.0)).T
    sigma, mu = t.std(axis=0), t.mean(axis=0)
    seen = sigma > networks.SPREAD * np.abs(t).max(axis=0)
    length = 1.0 / np.where(seen, sigma, 1.0)
    offset = 1.0 if subject.contract.weight == "1+w" else 0.0
    here = case.but(weight=(length - offset).reshape(case.weight.shape))
    w, off = answer_of(subject, here).y, np.broadcast_to(forward_bound(subject, truth_of(subject, here)), case.x.shape)
    activation = data @ w.T - mu * length
    of_mean, of_variance = networks.initialized(data, w, off, mu * length)
    law = "initialized by data, w x + b has"
    units = np.ones(seen.shape)
    return worst(
        differ(f"{law} mean 0", activation.mean(axis=0), 0.0 * units, of_mean, seen),
        differ(f"{law} variance 1", activation.var(axis=0), units, of_variance, seen),
    )


def _forgets_constants(normalizer: Normalizer) -> bool:
    return derived_row(normalizer)["dataset_recentering"]


def _of_weights(normalizer: Normalizer) -> bool:
    return normalizer.acts_on == "weight"


CHECKS = (
    Check("weight-norm-below", "gradients of a weight-normalized layer below do not see a constant in the data",
          "Salimans, Kingma 2016, section 4", weight_normed, SPACE, _forgets_constants, needs_float64, cost=5.0),
    Check("data-dependent-initialization", "initialized by data, w x + b has mean 0 and variance 1 over it",
          "Salimans, Kingma 2016, section 3", initialized, SPACE, _of_weights, needs_float64),
)  # fmt: skip
