"""Normalizers by the quadratic mean of a batch, without its mean: PowerNorm."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import mean, standard, variance
from normcheck.families.defined.tracing.gradients import constant, straight_through


def _paper(place: str) -> Paper:
    return Paper(
        "Shen, Yao, Gholami, Mahoney, Keutzer",
        2020,
        "PowerNorm: Rethinking Batch Normalization in Transformers",
        "https://arxiv.org/abs/2003.07845",
        place,
    )


def _others(x: Any) -> tuple[int, ...]:
    """The axes of cases and positions."""
    return tuple(range(x.ndim - 1))


def _quadratic(x: Any) -> Any:
    """The quadratic mean of each unit, squared."""
    return mean(np.square(x), _others(x))


def _of_batch(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    return x / np.sqrt(_quadratic(x) + eps) * weight + bias


def _of_batch_backward(x: Any, dy: Any, weight: Any, bias: Any, eps: float) -> dict[str, Any]:
    """dx = (g - z mean(g z)) / s, g = dy weight, z = x / s, s the root."""
    s, axes = np.sqrt(_quadratic(x) + eps), _others(x)
    z, g = x / s, dy * weight
    return {"x": (g - z * mean(g * z, axes)) / s, "weight": (dy * z).sum(axis=axes), "bias": dy.sum(axis=axes)}


power_norm_v = DefinedNormalizer(
    name="power_norm_v",
    title="power normalization by the batch (PN-V)",
    paper=_paper("section 4.1"),
    formula="y = x / sqrt(mean(x^2) + eps) weight + bias, the mean over cases and positions of a unit",
    forward=_of_batch,
    backward=_of_batch_backward,
    options={"eps": (1e-5, 0.5)},
    derived=row("yes no  yes yes no  no"),
    note="In training. Units are last, (cases, *positions, units), as in a transformer. The paper writes no eps; this "
    "one is inside the root, as in the authors' code. It is what power_norm has for its running mean during a warm-up.",
    slips=(
        Slip(
            "power-v-centered",
            "Subtracts the mean: a batch norm.",
            lambda x, weight, bias, eps: standard(x, _others(x), eps) * weight + bias,
        ),
        Slip(
            "power-v-variance",
            "Divides by the root of the variance, and subtracts no mean.",
            lambda x, weight, bias, eps: x / np.sqrt(variance(x, _others(x)) + eps) * weight + bias,
        ),
        Slip(
            "power-v-over-units",
            "Takes the quadratic mean over units, of one case: an RMS norm.",
            lambda x, weight, bias, eps: x / np.sqrt(mean(np.square(x), -1) + eps) * weight + bias,
        ),
        Slip(
            "power-v-squared",
            "Divides by the mean square, without its root.",
            lambda x, weight, bias, eps: x / (_quadratic(x) + eps) * weight + bias,
        ),
    ),
)


def _running(x: Any, weight: Any, bias: Any, running_phi: Any, alpha_fwd: float = 0.9, eps: float = 1e-5) -> Any:
    return x / np.sqrt(running_phi + eps) * weight + bias


def _running_update(x: Any, weight: Any, bias: Any, running_phi: Any, alpha_fwd: float, eps: float) -> dict[str, Any]:
    return {"running_phi": alpha_fwd * running_phi + (1.0 - alpha_fwd) * _quadratic(x)}


def _running_backward(
    x: Any, dy: Any, weight: Any, bias: Any, running_phi: Any, alpha_fwd: float, eps: float
) -> dict[str, Any]:
    """dx = dy weight / s, s the root of the past: Algorithm 2 with nu = 0."""
    s, axes = np.sqrt(running_phi + eps), _others(x)
    return {"x": dy * weight / s, "weight": (dy * x / s).sum(axis=axes), "bias": dy.sum(axis=axes)}


def _by_root_of_batch(x: Any, weight: Any, bias: Any, running_phi: Any, alpha_fwd: float, eps: float) -> Any:
    way = x / constant(np.sqrt(_quadratic(x) + eps))
    return straight_through(x / np.sqrt(running_phi + eps), way) * weight + bias


def _scaled(x: Any) -> Any:
    """Each case by its own root mean square; the authors' code has this eps, whatever that of the layer."""
    return x / np.sqrt(mean(np.square(x), -1) + 1e-5)


def _warm_up(x: Any, weight: Any, bias: Any, running_phi: Any, alpha_fwd: float, eps: float) -> Any:
    scaled = _scaled(x)
    return scaled / constant(np.sqrt(_quadratic(scaled) + eps)) * weight + bias


power_norm = DefinedNormalizer(
    name="power_norm",
    title="power normalization by a running quadratic mean (PowerNorm)",
    paper=_paper("Algorithm 2"),
    formula="y = x / sqrt(running_phi + eps) weight + bias, and then running_phi = alpha_fwd running_phi + (1 - "
    "alpha_fwd) mean(x^2), the mean over cases and positions of a unit",
    forward=_running,
    backward=_running_backward,
    state=frozenset({"running_phi"}),
    positive=frozenset({"running_phi"}),
    update=_running_update,
    aliases={"running_phi": ("phi",), "alpha_fwd": ("afwd", "alpha")},
    options={"alpha_fwd": (0.9, 0.25), "eps": (1e-5, 0.5)},
    derived=row("no  no  no  no  no  no"),
    note="In training, after the warm-up, in which the statistics are those of power_norm_v. Units are last. "
    "running_phi is the mean of the calls before, so the layer is linear in x. The paper's approximate backward "
    "subtracts nu z, z being y before weight and bias. nu is made of the cotangents of earlier calls, and is 0 in the "
    "first, which is the one that is asked. The authors' code differs: it divides the cotangent by the root of this "
    "batch, not by that of the past, and each case by its own root mean square before.",
    slips=(
        Slip(
            "power-by-batch",
            "Divides by the quadratic mean of the batch.",
            lambda x, weight, bias, running_phi, alpha_fwd, eps: _of_batch(x, weight, bias, eps) + 0.0 * running_phi,
        ),
        Slip(
            "power-updated-first",
            "Updates the running mean, and then divides by it.",
            lambda x, weight, bias, running_phi, alpha_fwd, eps: _running(
                x, weight, bias, **_running_update(x, weight, bias, running_phi, alpha_fwd, eps), eps=eps
            ),
        ),
        Slip(
            "power-backward-by-batch",
            "Divides the cotangent by the root of the batch, as the authors' code does.",
            _by_root_of_batch,
        ),
        Slip(
            "power-scaled-before",
            "Divides each case by its root mean square before, as the authors' code does.",
            lambda x, weight, bias, running_phi, alpha_fwd, eps: _running(
                _scaled(x), weight, bias, running_phi, alpha_fwd, eps
            ),
            lambda x, weight, bias, running_phi, alpha_fwd, eps: _running_update(
                _scaled(x), weight, bias, running_phi, alpha_fwd, eps
            ),
        ),
        Slip(
            "power-warm-up",
            "Is the authors' code in the first step of its warm-up: scales each case, divides by the batch without a "
            "gradient through it, and keeps that mean alone.",
            _warm_up,
            lambda x, weight, bias, running_phi, alpha_fwd, eps: {"running_phi": _quadratic(_scaled(x))},
        ),
        Slip(
            "power-not-rooted",
            "Divides by the running mean, without its root.",
            lambda x, weight, bias, running_phi, alpha_fwd, eps: x / (running_phi + eps) * weight + bias,
        ),
        Slip(
            "power-shares-exchanged",
            "Keeps the share 1 - alpha_fwd of the past, as a momentum in torch does.",
            _running,
            lambda x, weight, bias, running_phi, alpha_fwd, eps: _running_update(
                x, weight, bias, running_phi, 1.0 - alpha_fwd, eps
            ),
        ),
        Slip(
            "power-variance-kept",
            "Keeps the variance of the batch, for its mean square.",
            _running,
            lambda x, weight, bias, running_phi, alpha_fwd, eps: {
                "running_phi": alpha_fwd * running_phi + (1.0 - alpha_fwd) * variance(x, _others(x))
            },
        ),
    ),
)

ENTRIES = (power_norm_v, power_norm)
