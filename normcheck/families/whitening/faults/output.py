"""Faults of what the matrix is applied to: means, groups, eps, cases, statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase, channel_axes, per_channel
from normcheck.families.whitening.faults.base import WhiteningFault, seen_as
from normcheck.families.whitening.reference import Root, answer, whitened


def _of_each_case(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """Layer norm, of a case over its channels."""
    centered = case.x - case.x.mean(1, keepdims=True)
    y = centered / np.sqrt(np.square(centered).mean(1, keepdims=True) + case.eps)
    gain, shift = (per_channel(p, y.shape, d) for p, d in ((case.weight, 1.0), (case.bias, 0.0)))
    return replace(answer(root, case), y=y * gain + shift)


def _joined(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """One group of all channels, in training."""
    if case.groups == 1:
        return answer(root, case)
    whole = case.but(groups=1, running_cov=np.eye(case.x.shape[1])[None])
    apart = answer(root, case)  # what is stored is right
    return replace(answer(root, whole), running_mean=apart.running_mean, running_cov=apart.running_cov)


def _centered_wrongly(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """Channels keep their means: the covariance is right, and what it is applied to is not centered."""
    kept, done = answer(root, case), whitened(root, case)
    gain = per_channel(case.weight, case.x.shape, 1.0)
    added = per_channel(done.matrix @ done.mean, case.x.shape, 0.0)
    return replace(kept, y=kept.y + gain * added)


def _unbiased(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """S with members - 1: the same as eps and the output scaled."""
    if not case.training:
        return answer(root, case)
    members = case.x.size // case.x.shape[1]
    ratio = members / (members - 1.0)
    bare = case.but(weight=None, bias=None, eps=case.eps / ratio)
    gain, shift = (per_channel(p, case.x.shape, d) for p, d in ((case.weight, 1.0), (case.bias, 0.0)))
    inner = answer(root, bare.but(dy=case.dy * gain))
    assert inner.dx is not None
    assert inner.dweight is not None
    kept = answer(root, case)
    axes = channel_axes(case.x.ndim)
    return replace(
        kept, y=inner.y / np.sqrt(ratio) * gain + shift, dx=inner.dx / np.sqrt(ratio),
        dweight=(case.dy * inner.y).sum(axes) / np.sqrt(ratio),
    )  # fmt: skip


def _eps_everywhere(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """eps is added to every entry of the covariance: the matrix and its gradient are those of that sum."""

    def more(s: Array) -> Array:
        return np.asarray(s + case.eps * (1.0 - np.eye(s.shape[-1])))

    return answer(Root(lambda s: root.forward(more(s)), lambda s, g: root.backward(more(s), g), root.steps), case)


ALL = (
    WhiteningFault(
        name="white-mean-kept", story="Multiplies x itself, not x without its mean.", answer=_centered_wrongly
    ),
    WhiteningFault(
        name="white-of-each-case",
        story="Normalizes each case over its channels, as layer norm does.",
        answer=_of_each_case,
    ),
    WhiteningFault(
        name="white-running-in-training",
        story="Whitens by the running statistics in training too.",
        answer=seen_as(lambda case: case.but(training=False)),
    ),
    WhiteningFault(
        name="white-eps-missing",
        story="Leaves eps out of the covariance.",
        answer=seen_as(lambda case: case.but(eps=case.eps * 2.0**-20)),
    ),
    WhiteningFault(
        name="white-eps-fixed",
        story="Has an eps of its own, whatever is given.",
        answer=seen_as(lambda case: case.but(eps=1e-5)),
    ),
    WhiteningFault(
        name="white-eps-everywhere",
        story="Adds eps to every entry of the covariance, not to its diagonal alone.",
        source="princeton-vl/DecorrelatedBN#2",
        answer=_eps_everywhere,
    ),
    WhiteningFault(name="white-unbiased", story="Divides the covariance by members - 1.", answer=_unbiased),
    WhiteningFault(
        name="white-groups-joined", story="Whitens all channels together, whatever the groups.", answer=_joined
    ),
)
