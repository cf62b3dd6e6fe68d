"""Faults of the sums: which entries a statistic reads, how it counts them, in which format it adds them up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import (
    activations,
    any_of_them,
    averages,
    cases_apart,
    centered,
    grouped,
    positions_share,
    rounded_by_torch,
    standardizes,
    trailing,
    weights,
    wide_squares,
)
from normcheck.normalizers.normalizer import AXES, Partition
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps
from normcheck.normalizers.subject import Answer

Total = Callable[[Array, Setting], Array]
"""A way to sum the members of each set: (sets, members) to (sets, 1)."""


def width(n: int) -> int:
    """The power of two to which n lanes are padded.

    >>> [width(n) for n in (1, 3, 4, 5)]
    [1, 4, 4, 8]
    """
    return 1 << (n - 1).bit_length()


def summing(total: Total) -> Callable[[Steps], Steps]:
    """Mean and squares are both summed up this way."""

    def variance(c: Array, x: Array, k: Setting) -> Array:
        read = c[:, : k.part]
        out: Array = total(read * read, k) / x.dtype.type(k.divisor)
        return out

    return lambda steps: replace(steps, center=averaging(total, steps), variance=variance)


def averaging(total: Total, steps: Steps) -> Callable[[Array, Setting], tuple[Array, Array]]:
    """A mean that is summed up this way, if one is subtracted."""

    def center(x: Array, k: Setting) -> tuple[Array, Array]:
        if not k.centered:
            return steps.center(x, k)
        mu = total(x, k) / x.dtype.type(k.n)
        return mu, x - mu

    return center


def _plain(a: Array, k: Setting) -> Array:
    out: Array = a.sum(axis=1, keepdims=True)
    return out


def _without_tail(a: Array, k: Setting) -> Array:
    """All but the last n % 4 members; a set of fewer than four is read to its end."""
    n = a.shape[1]
    out: Array = a[:, : n - n % 4 if n >= 4 else n].sum(axis=1, keepdims=True)
    return out


def _first_64(a: Array, k: Setting) -> Array:
    """The first 64 members, for all of them."""
    n = a.shape[1]
    out: Array = a[:, :64].sum(axis=1, keepdims=True) * a.dtype.type(n / min(n, 64))
    return out


def of_last_block(block: int) -> Total:
    """The members of the last block alone: the running sum is set to 0 where a block begins."""

    def total(a: Array, k: Setting) -> Array:
        n = a.shape[1]
        out: Array = a[:, max(n - 1, 0) // block * block :].sum(axis=1, keepdims=True)
        return out

    return total


def within_blocks(block: int) -> Callable[[Steps], Steps]:
    """The variance is that inside blocks of members: the squared differences of the blocks' means are left out."""

    def means(c: Array) -> Array:
        parts = [c[:, i : i + block] for i in range(0, c.shape[1], block)]
        return np.concatenate([np.broadcast_to(p.mean(axis=1, keepdims=True), p.shape) for p in parts], axis=1)

    def wrap(steps: Steps) -> Steps:
        def variance(c: Array, x: Array, k: Setting) -> Array:
            read = c[:, : k.part]
            out: Array = steps.variance(np.concatenate([read - means(read), c[:, k.part :]], axis=1), x, k)
            return out

        def backward(saved: Saved, g: Array, k: Setting) -> Array:
            dx = steps.backward(saved, g, k)
            if not k.through[1]:
                return dx
            variance_term = (g * saved.c).sum(axis=1, keepdims=True) * saved.slope / (saved.s * saved.s)
            out: Array = dx + variance_term * saved.x.dtype.type(2.0 / k.divisor) * means(saved.c)
            return out

        return replace(steps, variance=variance, backward=backward)

    return wrap


def _into_the_next(a: Array, k: Setting) -> Array:
    """Sums as many numbers as the padded width has lanes: those beyond the end are of the next set in memory."""
    sets, n = a.shape
    flat = np.concatenate([a.reshape(-1), np.zeros(width(n), a.dtype)])
    out: Array = flat[np.arange(sets)[:, None] * n + np.arange(width(n))].sum(axis=1, keepdims=True)
    return out


def _narrow(a: Array, k: Setting) -> Array:
    """A running sum that is kept in the input's own format."""
    if not k.format.narrow:
        return _plain(a, k)
    terms, total = k.format.round(a), np.zeros((len(a), 1))
    for i in range(a.shape[1]):
        total = k.format.round(total + terms[:, i : i + 1])
    return total.astype(a.dtype)


def _narrow_squares(steps: Steps) -> Steps:
    def variance(c: Array, x: Array, k: Setting) -> Array:
        root = c if not k.format.narrow else np.sqrt(k.format.round(np.square(c.astype(np.float64)))).astype(c.dtype)
        return steps.variance(root, x, k)

    return replace(steps, variance=variance)


def _padded(steps: Steps) -> Steps:
    """Lanes beyond the end hold 0, become -mean with the others and are squared with them."""

    def variance(c: Array, x: Array, k: Setting) -> Array:
        extra = x.dtype.type((width(k.n) - k.n) / k.divisor)
        out: Array = steps.variance(c, x, k) + extra * np.square(x.mean(axis=1, keepdims=True))
        return out

    return replace(steps, variance=variance)


def _divided_by_the_width(steps: Steps) -> Steps:
    """The mean (or the mean square, where no mean is subtracted) is divided by the padded width."""

    def center(x: Array, k: Setting) -> tuple[Array, Array]:
        mu, c = steps.center(x, k)
        if not k.centered:
            return mu, c
        mu = mu * x.dtype.type(k.n / width(k.n))
        return mu, x - mu

    def variance(c: Array, x: Array, k: Setting) -> Array:
        v = steps.variance(c, x, k)
        return v if k.centered else v * x.dtype.type(k.part / width(k.part))

    return replace(steps, center=center, variance=variance)


def _first_row(steps: Steps) -> Steps:
    """Every set is normalized with the statistics of the first."""

    def center(x: Array, k: Setting) -> tuple[Array, Array]:
        mu = np.broadcast_to(steps.center(x, k)[0][:1], (len(x), 1))
        return mu, x - mu

    def variance(c: Array, x: Array, k: Setting) -> Array:
        return np.broadcast_to(steps.variance(c, x, k)[:1], (len(x), 1))

    return replace(steps, center=center, variance=variance)


def _everything(steps: Steps) -> Steps:
    """One mean and one variance for the whole tensor."""

    def center(x: Array, k: Setting) -> tuple[Array, Array]:
        if not k.centered:
            return steps.center(x, k)
        mu = np.full_like(x[:, :1], x.mean())
        return mu, x - mu

    def variance(c: Array, x: Array, k: Setting) -> Array:
        v = steps.variance(c, x, k)
        return np.full_like(v, v.mean() if k.divisor > 1 or k.part == 1 else v.sum())

    return replace(steps, center=center, variance=variance)


def _subtracted_mean_rounded(answer: Answer, question: FaultQuestion) -> Answer:
    case = question.case
    if not (case.training and case.format.narrow):
        return answer
    truth = evaluate(question.normalizer, case.but(dy=None), question.contract)
    part, mu = truth.partition, truth.saved.mu
    off = part.per_set((mu - case.format.round(mu)) / truth.saved.s)
    return replace(answer, y=answer.y + (off if truth.gain is None else off * part.spread(truth.gain)))


def _rounded_statistics(steps: Steps) -> Steps:
    """Mean and root are rounded to the input's format before they are used."""

    def center(x: Array, k: Setting) -> tuple[Array, Array]:
        mu, c = steps.center(x, k)
        if not k.centered:
            return mu, c
        mu = k.format.round(mu).astype(x.dtype)
        return mu, x - mu

    def scale(v: Array, k: Setting) -> tuple[Array, Array]:
        s, slope = steps.scale(v, k)
        return k.format.round(s).astype(v.dtype), slope

    return replace(steps, center=center, scale=scale)


def sharing(change: Callable[[frozenset[str]], frozenset[str]]) -> Callable[[Partition, Case], Partition]:
    """Statistics over other axes in training. change: from the right names of axes to the wrong ones."""

    def repartition(part: Partition, case: Case) -> Partition:
        if not case.training:
            return part
        names = change(frozenset(AXES[a] for a in part.members))
        return replace(part, members=tuple(a for a, name in enumerate(AXES) if name in names))

    return repartition


_swapped = sharing(lambda members: frozenset(AXES) - members)


def _interleaved(part: Partition, case: Case) -> Partition:
    """Channels are assigned to the groups in turn, as a reshape without a transpose does."""
    cases, groups, units, space = part.seen
    members = (AXES.index("group"), AXES.index("space"))
    return replace(part, seen=(cases, units, groups, space), members=members)


def _last_axis(part: Partition, case: Case) -> Partition:
    """Only the last of several normalized axes."""
    last = part.shape[-1]
    return replace(part, seen=(part.seen[0] * part.seen[2] // last, 1, last, 1))


LANES = (
    Fault(
        name="padded-lanes-in-variance",
        story="Sets are padded to a power of two; the padding becomes -mean and is squared with the rest. Hides at "
        "powers of two and where the mean is 0.",
        source="triton-lang/triton#9838",
        concerns=standardizes,
        steps=_padded,
    ),
    Fault(
        name="padded-lanes-in-mean",
        story="Sums are divided by the width padded to a power of two. Hides at powers of two.",
        source="linkedin/Liger-Kernel#518",
        concerns=averages,
        steps=_divided_by_the_width,
    ),
    Fault(
        name="padded-lanes-from-next-set",
        story="Lanes beyond the end of a set read the set that follows in memory. Hides at powers of two.",
        source="flagos-ai/FlagGems#4984",
        concerns=any_of_them,
        steps=summing(_into_the_next),
    ),
    Fault(
        name="tail-dropped",
        story="The members beyond the last whole block of lanes are left out of the sums. Hides where the width is a "
        "multiple of the block.",
        source="ROCm/rocm-libraries#9030",
        concerns=any_of_them,
        steps=summing(_without_tail),
    ),
    Fault(
        name="sums-restart-at-blocks",
        story="The running sum is set to 0 at every block of 1,024 members: the last block counts, the others are "
        "lost. Hides in sets of up to 1,024.",
        source="PTO-ISA/SuperNPUBench#133",
        concerns=any_of_them,
        steps=summing(of_last_block(1024)),
    ),
    Fault(
        name="block-means-ignored",
        story="The variance is merged from blocks of members without the squared differences of their means. Hides in "
        "sets of one block, and where all blocks have the same mean.",
        source="theory of rounding errors: Chan, Golub, LeVeque 1983, equation 2.1b",
        concerns=standardizes,
        steps=within_blocks(64),
    ),
    Fault(
        name="statistics-of-a-sample",
        story="Reads the first 64 members and takes them for all. Hides in sets of up to 64.",
        source="facebookresearch/xformers#785",
        concerns=averages,
        steps=summing(_first_64),
    ),
)

SETS = (
    Fault(
        name="statistics-from-row-0",
        story="Every set is normalized with the statistics of the first: an offset is forgotten. Hides with one set.",
        source="pytorch/pytorch#131750",
        concerns=any_of_them,
        steps=_first_row,
    ),
    Fault(
        name="statistics-of-whole-tensor",
        story="One mean and one variance for everything. Hides with one set, and where all sets are alike.",
        source="allenai/deep_qa#152",
        concerns=any_of_them,
        steps=_everything,
    ),
    Fault(
        name="statistics-over-wrong-axis",
        story="Statistics are taken over other axes than the normalizer's: those that it keeps, one too many, or one "
        "too few. Hides in tests of the shape alone.",
        source="kyegomez/zeta#180",
        concerns=activations,
        repartition=_swapped,
    ),
    Fault(
        name="wrong-dim",
        story="One norm for each index of the other axis: dim is read as the axis to sum over. Hides in square "
        "weights of equal entries.",
        source="pytorch/pytorch#81195",
        concerns=weights,
        repartition=_swapped,
    ),
    Fault(
        name="groups-interleaved",
        story="A reshape without a transpose deals the channels out to the groups in turn. Hides with one group, and "
        "with one channel in each.",
        source="tensorflow/addons#751",
        concerns=grouped,
        repartition=_interleaved,
    ),
    Fault(
        name="groups-ignored",
        story="All channels form one group. Hides with one group.",
        source="pytorch/pytorch#75862",
        concerns=grouped,
        repartition=sharing(lambda members: members | {"group"}),
    ),
    Fault(
        name="cases-shared",
        story="The cases of a batch share their statistics. Hides with one case.",
        source="pytorch/pytorch#149301",
        concerns=cases_apart,
        repartition=sharing(lambda members: members | {"case"}),
    ),
    Fault(
        name="positions-apart",
        story="Every position has statistics of its own. Hides on vectors.",
        source="ROCm/MIOpen#1109",
        concerns=positions_share,
        repartition=sharing(lambda members: members - {"space"}),
    ),
    Fault(
        name="last-axis-only",
        story="Of several normalized axes only the last is. Hides with one.",
        source="keras-team/keras#19642",
        concerns=trailing,
        repartition=_last_axis,
    ),
)

FORMATS = (
    Fault(
        name="half-accumulator",
        story="Half-precision input is summed up in half precision, number by number. Hides in short sets of small "
        "numbers, and in float32.",
        source="nntrainer/nntrainer#3935",
        concerns=any_of_them,
        steps=summing(_narrow),
    ),
    Fault(
        name="squares-in-half",
        story="Half-precision input is squared in half precision, where 256^2 overflows. Hides at unit scale, and in "
        "float32.",
        source="pytorch/pytorch#133085",
        concerns=wide_squares,
        steps=_narrow_squares,
    ),
    Fault(
        name="statistics-in-half",
        story="Mean and root are rounded to the half-precision format of the input. Hides in float32.",
        source="microsoft/onnxruntime#17692",
        concerns=centered,
        steps=_rounded_statistics,
    ),
    Fault(
        name="subtracted-mean-in-half",
        story="The mean that is subtracted is rounded to the half-precision format of the input; the one that is "
        "averaged is not. Hides in float32, and where the mean is small.",
        source="constructed",
        concerns=rounded_by_torch,
        after=_subtracted_mean_rounded,
    ),
    Fault(
        name="float64-in-float32",
        story="Computes in single precision, for float64 input too. Hides behind tolerances made for float32.",
        source="ScalingIntelligence/KernelBench#82",
        concerns=any_of_them,
        steps=lambda steps: replace(steps, compute=lambda format: np.float32),
    ),
)

FAULTS = LANES + SETS + FORMATS
