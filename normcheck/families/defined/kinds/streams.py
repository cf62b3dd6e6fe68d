"""Normalizers by statistics of the calls before, mixed with those of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import batch, mean, variance
from normcheck.families.defined.tracing.gradients import constant, straight_through


def _now(x: Any, eps: float) -> tuple[Any, Any]:
    """Mean and root of the batch."""
    return mean(x, batch(x)), np.sqrt(variance(x, batch(x)) + eps)


def _mixed(past: Any, now: Any, alpha: float) -> Any:
    return alpha * past + (1.0 - alpha) * now


def _streaming(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_std: Any,
    alpha: float = 0.7,
    kappa: float = 0.7,
    eps: float = 1e-5,
    full_gradient: bool = True,
) -> Any:
    at, root = _now(x, eps)
    center, scale = _mixed(running_mean, at, alpha), _mixed(running_std, root, alpha)
    if full_gradient:
        center, scale = straight_through(center, at), straight_through(scale, root)
    return (x - center) / scale * weight + bias


def _streaming_update(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_std: Any,
    alpha: float,
    kappa: float,
    eps: float,
    full_gradient: bool,
) -> dict[str, Any]:
    at, root = _now(x, eps)
    return {"running_mean": _mixed(running_mean, at, kappa), "running_std": _mixed(running_std, root, kappa)}


def _detached(
    x: Any, weight: Any, bias: Any, running_mean: Any, running_std: Any, alpha: float, kappa: float, eps: float,
    full_gradient: bool,
) -> Any:  # fmt: skip
    at, root = _now(constant(x), eps)
    return (x - _mixed(running_mean, at, alpha)) / _mixed(running_std, root, alpha) * weight + bias


def _of_variances(
    x: Any, weight: Any, bias: Any, running_mean: Any, running_std: Any, alpha: float, kappa: float, eps: float,
    full_gradient: bool,
) -> Any:  # fmt: skip
    at, root = _now(x, eps)
    center, scale = _mixed(running_mean, at, alpha), np.sqrt(_mixed(np.square(running_std), np.square(root), alpha))
    if full_gradient:
        center, scale = straight_through(center, at), straight_through(scale, root)
    return (x - center) / scale * weight + bias


def _updated_first(x: Any, weight: Any, bias: Any, running_mean: Any, running_std: Any, **constants: Any) -> Any:
    kept = _streaming_update(x, weight, bias, running_mean, running_std, **constants)
    return _streaming(x, weight, bias, constant(kept["running_mean"]), constant(kept["running_std"]), **constants)


streaming_batch_norm = DefinedNormalizer(
    name="streaming_batch_norm",
    title="streaming batch normalization",
    paper=Paper(
        "Liao, Kawaguchi, Poggio",
        2016,
        "Streaming Normalization: Towards Simpler and More Biologically-plausible Normalizations for Online and "
        "Recurrent Learning",
        "https://arxiv.org/abs/1610.06160",
        "the section on Streaming Normalization",
    ),
    formula="y = (x - m) / s weight + bias, m = alpha running_mean + (1 - alpha) mean, s = alpha running_std + (1 - "
    "alpha) sqrt(var + eps), and then running = kappa running + (1 - kappa) that of the batch",
    layout="channels",
    forward=_streaming,
    state=frozenset({"running_mean", "running_std"}),
    positive=frozenset({"running_std"}),
    update=_streaming_update,
    aliases={
        "running_mean": ("long_mean", "mean_long"),
        "running_std": ("long_std", "std_long"),
        "alpha": ("alpha_1", "alpha1"),
        "kappa": ("kappa_1", "kappa1", "decay", "decay_factor", "decay_factor_f"),
    },
    options={
        "alpha": (0.7, 0.7, 0.25, 0.0),
        "kappa": (0.7, 0.7, 0.9, 0.25),
        "eps": (1e-5, 0.5),
        "full_gradient": (True, False),
    },
    conventions=frozenset({"full_gradient"}),
    derived=row("no  no  no  no  no  no"),
    note="In training, with one batch for each update of the weights: the short-term statistics of the paper are those "
    "of the batch, its long-term ones are running_mean and running_std. alpha is its alpha_1, kappa its kappa_1. With "
    "alpha 0 it is batch norm. Of the streaming gradients those of this call alone are kept, and reach the statistics "
    "of the batch in full: beta = (0, 0, 1). Automatic differentiation gives them the share 1 - alpha, which is "
    "full_gradient=False; in code that takes no such option this is measured. It is the root that is mixed, not the "
    "variance. Published code also divides the variance by n - 1, and adds eps to the root, twice.",
    slips=(
        Slip("streaming-gradient-detached", "No gradient reaches the statistics of the batch.", _detached),
        Slip("streaming-of-variances", "Mixes variances, and takes the root of the mix.", _of_variances),
        Slip("streaming-updated-first", "Updates the long-term statistics before it mixes them in.", _updated_first),
        Slip(
            "streaming-shares-exchanged",
            "Gives the batch the share of the past.",
            lambda x, weight, bias, running_mean, running_std, alpha, **constants: _streaming(
                x, weight, bias, running_mean, running_std, 1.0 - alpha, **constants
            ),
        ),
        Slip(
            "streaming-decay-exchanged",
            "Keeps the share 1 - kappa of the past, as a momentum in torch does.",
            _streaming,
            lambda x, weight, bias, running_mean, running_std, alpha, kappa, **constants: _streaming_update(
                x, weight, bias, running_mean, running_std, alpha, 1.0 - kappa, **constants
            ),
        ),
        Slip(
            "streaming-mix-kept",
            "Keeps the mix that it normalized by, for the statistics of the batch.",
            _streaming,
            lambda x, weight, bias, running_mean, running_std, alpha, kappa, **constants: _streaming_update(
                x, weight, bias, running_mean, running_std, alpha, alpha + (1.0 - alpha) * kappa, **constants
            ),
        ),
    ),
)

ENTRIES = (streaming_batch_norm,)
