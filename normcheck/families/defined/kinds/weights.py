"""Normalizers of weights: the input is a weight (units, *inputs), the output the weight that a layer uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import centered, length, mean, space, variance
from normcheck.families.defined.tracing.gradients import constant


def _standardized(x: Any, eps: float = 1e-5, correction: int = 0, outside: int = 0) -> Any:
    return _over(x, space(x, 1), eps, correction, outside)


def _over(x: Any, axes: Any, eps: float, correction: int, outside: int) -> Any:
    """The centered weight over the root of its variance, which divides by n - correction."""
    n = np.prod([x.shape[a] for a in np.atleast_1d(axes)])
    var = variance(x, axes) * (n / (n - correction))
    return centered(x, axes) / (np.sqrt(var) + eps if outside else np.sqrt(var + eps))


weight_standardization = DefinedNormalizer(
    name="weight_standardization",
    title="weight standardization",
    paper=Paper(
        "Qiao, Wang, Liu, Shen, Yuille",
        2019,
        "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization",
        "https://arxiv.org/abs/1903.10520",
        "eq. 5 to 7",
    ),
    formula="w = (v - mean) / sqrt(var + eps), statistics over the inputs of each unit",
    layout="rows",
    forward=_standardized,
    options={"eps": (1e-5, 0.5), "correction": (0, 0, 1, 1), "outside": (0, 0, 0, 0, 1, 1, 1, 1)},
    conventions=frozenset({"correction", "outside"}),
    derived=row("yes no  yes no  no  no"),
    note="The variance divides by n. Published code also adds eps outside the root, or divides by n - 1: in code that "
    "takes no such options these are measured.",
    slips=(
        Slip(
            "standardized-over-matrix",
            "Takes the statistics of the whole weight.",
            lambda x, **constants: _over(x, space(x, 0), **constants),
        ),
        Slip(
            "standardized-over-units",
            "Takes the statistics over units.",
            lambda x, **constants: _over(x, 0, **constants),
        ),
        Slip(
            "standardized-eps-outside",
            "Adds eps to the root.",
            lambda x, eps, correction, outside: _standardized(x, eps, correction, not outside),
        ),
        Slip(
            "standardized-centered-only",
            "Subtracts the mean, and does not divide.",
            lambda x, **constants: centered(x, space(x, 1)),
        ),
    ),
)


def _centered_weight(x: Any, weight: Any) -> Any:
    c = centered(x, space(x, 1))
    return weight * c / length(c, space(x, 1))


centered_weight_norm = DefinedNormalizer(
    name="centered_weight_norm",
    title="centered weight normalization",
    paper=Paper(
        "Huang, Liu, Liu, Lang, Tao",
        2017,
        "Centered Weight Normalization in Accelerating Training of Deep Neural Networks",
        "https://arxiv.org/abs/1710.02338",
        "eq. 4",
    ),
    formula="w = g (v - mean(v)) / |v - mean(v)|, for each unit",
    layout="rows",
    forward=_centered_weight,
    derived=row("yes no  yes no  no  no"),
    note="The input is v, the weight is g, one number for each unit.",
    slips=(
        Slip(
            "centered-length-of-v",
            "Divides by the length of v.",
            lambda x, weight: weight * centered(x, space(x, 1)) / length(x, space(x, 1)),
        ),
        Slip(
            "centered-not-at-all",
            "Does not subtract the mean: weight norm.",
            lambda x, weight: weight * x / length(x, space(x, 1)),
        ),
        Slip(
            "centered-over-units",
            "Subtracts the mean over units.",
            lambda x, weight: weight * centered(x, 0) / length(centered(x, 0), space(x, 1)),
        ),
        Slip(
            "centered-root-mean-square",
            "Divides by the root mean square, for the length.",
            lambda x, weight: (
                weight * centered(x, space(x, 1)) / np.sqrt(mean(np.square(centered(x, space(x, 1))), space(x, 1)))
            ),
        ),
    ),
)


def _unit(v: Any, eps: float) -> Any:
    return v / np.maximum(length(v, (0, 1)), eps)


def _iterated(x: Any, u: Any, eps: float) -> tuple[Any, Any]:
    """The left and the right singular vector after one step from u, as columns."""
    right = _unit(x.T @ u, eps)
    return _unit(x @ right, eps), right


def _spectral(x: Any, u: Any, eps: float = 1e-12) -> Any:
    left, right = (constant(v) for v in _iterated(constant(x), u, eps))
    return x / (left.T @ x @ right)


def _spectral_update(x: Any, u: Any, eps: float) -> dict[str, Any]:
    return {"u": _iterated(x, u, eps)[0]}


def _spectral_through(x: Any, u: Any, eps: float) -> Any:
    left, right = _iterated(x, u, eps)
    return x / (left.T @ x @ right)


def _sigma_constant(x: Any, u: Any, eps: float) -> Any:
    return x / constant(x / _spectral(x, u, eps))


spectral_norm = DefinedNormalizer(
    name="spectral_norm",
    title="spectral normalization by one step of the power iteration",
    paper=Paper(
        "Miyato, Kataoka, Koyama, Yoshida",
        2018,
        "Spectral Normalization for Generative Adversarial Networks",
        "https://arxiv.org/abs/1802.05957",
        "Algorithm 1",
    ),
    formula="w = v / sigma, sigma = l^T v r, r = v^T u / |v^T u|, l = v r / |v r|, l and r constants for the gradient; "
    "l replaces u",
    layout="rows",
    ranks=(2,),
    forward=_spectral,
    state=frozenset({"u"}),
    update=_spectral_update,
    derived=row("yes no  no  no  no  no"),
    note="A function of the weight and u, (units,). A parametrization of torch.nn.utils keeps u itself.",
    slips=(
        Slip(
            "spectral-gradient-through-iteration",
            "Differentiates through the step of the power iteration.",
            _spectral_through,
        ),
        Slip("spectral-sigma-constant", "Takes sigma as a constant.", _sigma_constant),
        Slip(
            "spectral-frobenius", "Divides by the length of the whole matrix.", lambda x, u, eps: x / length(x, (0, 1))
        ),
        Slip(
            "spectral-no-iteration",
            "Takes u for the left singular vector.",
            lambda x, u, eps: x / (_unit(u, eps).T @ x @ _unit(constant(x).T @ u, eps)),
        ),
    ),
)

ENTRIES = (weight_standardization, centered_weight_norm, spectral_norm)
