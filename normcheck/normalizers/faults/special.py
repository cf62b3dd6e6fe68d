"""Faults at special values and unusual sizes: ordinary numbers and small shapes do not show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core.floats import FLOAT16, Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import (
    any_of_them,
    averages,
    cases_apart,
    divides,
    eps_in_half,
    has_eps,
    one_pixel,
    trailing,
)
from normcheck.normalizers.reference.oracle import evaluate, partition
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps
from normcheck.normalizers.subject import Answer

SIXTEEN_BITS = 65_536


def with_input(change: Callable[[Array], Array]) -> Callable[[FaultQuestion], Case]:
    return lambda question: question.case.but(x=change(question.case.x))


def _finite_only(x: Array) -> Array:
    largest = np.finfo(np.float32).max
    return np.where(np.isinf(x), np.copysign(largest, x), x)


def _masked_sums(steps: Steps) -> Steps:
    """Sums over all entries times a mask of zeros and ones: 0 NaN is NaN."""

    def variance(c: Array, x: Array, k: Setting) -> Array:
        out: Array = steps.variance(c, x, k) + x.dtype.type(0.0) * x.sum()
        return out

    return replace(steps, variance=variance)


def _masked_backward(steps: Steps) -> Steps:
    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        dx: Array = steps.backward(saved, g, k) + g.dtype.type(0.0) * saved.xh.sum()
        return dx

    return replace(steps, backward=backward)


def _lanes(steps: Steps) -> Steps:
    """Entries that are -0 are not counted: padded lanes are filled with -0."""

    def variance(c: Array, x: Array, k: Setting) -> Array:
        read = x[:, : k.part]
        padded = ((read == 0) & np.signbit(read)).sum(axis=1, keepdims=True)
        counted = np.maximum(k.part - padded, 1) / k.part
        out: Array = steps.variance(c, x, k) / counted.astype(x.dtype)
        return out

    return replace(steps, variance=variance)


def _by_reciprocal(steps: Steps) -> Steps:
    """Deviations times 1 / max |c|, so that their squares fit; of zeros, times 1."""

    def variance(c: Array, x: Array, k: Setting) -> Array:
        top = np.abs(c).max(axis=1, keepdims=True)
        inverse = x.dtype.type(1.0) / np.where(top == 0, x.dtype.type(1.0), top)
        out: Array = steps.variance(c * inverse, x, k) / inverse / inverse
        return out

    return replace(steps, variance=variance)


def _scale_recovered(steps: Steps) -> Steps:
    """The backward keeps no scale and finds it again as |c| / |xh|, of norms; where both are zero it has eps."""

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        above, below = (np.square(a).sum(axis=1, keepdims=True) for a in (saved.c, saved.xh))
        none = (saved.c == 0).all(axis=1, keepdims=True)
        s = np.where(none, saved.s, np.sqrt(above / below))
        return steps.backward(replace(saved, s=s, slope=g.dtype.type(0.5) / s), g, k)

    return replace(steps, backward=backward)


def _fourth_powers(steps: Steps) -> Steps:
    def variance(c: Array, x: Array, k: Setting) -> Array:
        v = steps.variance(c, x, k)
        out: Array = np.sqrt(v * v)
        return out

    return replace(steps, variance=variance)


def _sixth_powers(steps: Steps) -> Steps:
    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        cube = saved.s * saved.s * saved.s
        s = np.cbrt(np.sqrt(cube * cube))
        return steps.backward(replace(saved, s=s), g, k)

    return replace(steps, backward=backward)


def _clipped(x: Array) -> Array:
    """Finite entries beyond 2^11 times the median of their set's sizes are that."""
    reach = x.dtype.type(2.0**11) * np.median(np.abs(x), axis=1, keepdims=True)
    return np.where((reach > 0) & np.isfinite(x), np.clip(x, -reach, reach), x)


def _outlier_clipped(question: FaultQuestion) -> Case:
    part = partition(question.normalizer, question.case)
    return question.case.but(x=part.scatter(_clipped(part.gather(question.case.x))))


def _clipped_in_backward(steps: Steps) -> Steps:
    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        x = _clipped(saved.x)
        if np.array_equal(x, saved.x, equal_nan=True):
            return steps.backward(saved, g, k)
        return steps.backward(replace(saved, c=steps.center(x, k)[1]), g, k)

    return replace(steps, backward=backward)


def _eps_in_format(question: FaultQuestion) -> Case:
    case = question.case
    return case if case.format != FLOAT16 else case.but(eps=float(FLOAT16.round(np.asarray(case.eps))))


def _changed(answer: Answer, question: FaultQuestion, change: Callable[[Array], Array], *names: str) -> Answer:
    """Arrays of the input's shape, changed as (sets, members)."""
    part = partition(question.normalizer, question.case)
    there: dict[str, Any] = {}
    for name in names:
        value = getattr(answer, name)
        if value is not None:
            there[name] = part.scatter(change(part.gather(np.broadcast_to(value, question.case.x.shape)).copy()))
    return replace(answer, **there)


def _unwritten(flat: Array) -> Array:
    flat[SIXTEEN_BITS - 1 :] = 0.0
    return flat


def _wrapped(flat: Array) -> Array:
    return flat[np.arange(len(flat)) % SIXTEEN_BITS]


def _skipped(answer: Answer, question: FaultQuestion) -> Answer:
    return _changed(answer, question, _unwritten, "y")


def _repeated(answer: Answer, question: FaultQuestion) -> Answer:
    return _changed(answer, question, _wrapped, "dx")


def _late_sets_missing(answer: Answer, question: FaultQuestion) -> Answer:
    """Sums over sets end after 65,536 sets: parameters get no gradient from later ones."""
    case, part = question.case, partition(question.normalizer, question.case)
    if case.dy is None or part.sets <= SIXTEEN_BITS:
        return answer
    early = part.per_set(np.arange(part.sets) < SIXTEEN_BITS)
    truth = evaluate(question.normalizer, case.but(dy=np.where(early, case.dy, 0.0)), question.contract)
    return replace(answer, dweight=truth.dweight, dbias=truth.dbias)


def _first_columns(steps: Steps) -> Steps:
    """A mean over the first 65,536 members, for all of them."""

    def variance(c: Array, x: Array, k: Setting) -> Array:
        if k.part <= SIXTEEN_BITS:
            return steps.variance(c, x, k)
        return steps.variance(c, x, replace(k, part=SIXTEEN_BITS, divisor=k.divisor))

    return replace(steps, variance=variance)


def _first_columns_backward(steps: Steps) -> Steps:
    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        if g.shape[1] <= SIXTEEN_BITS:
            return steps.backward(saved, g, k)
        dx = steps.backward(saved, g, k)
        dx[:, SIXTEEN_BITS:] = 0.0
        return dx

    return replace(steps, backward=backward)


def _one_pixel(answer: Answer, question: FaultQuestion) -> Answer:
    """A map of one position is its own mean, as if positions alone shared a statistic."""
    case = question.case
    if case.x.ndim < 3 or set(case.x.shape[2:]) != {1}:
        return answer
    part = partition(question.normalizer, case)
    bias = np.zeros(()) if case.bias is None else part.spread(case.bias)
    return replace(answer, y=np.broadcast_to(bias, case.x.shape).copy())


def _column(answer: Answer, question: FaultQuestion) -> Answer:
    """A single vector is read as rows of one entry each."""
    case = question.case
    if case.x.ndim != 1:
        return answer
    own = np.sign(case.x) if not question.normalizer.centered else np.zeros(case.x.shape)
    gain = 1.0 if case.weight is None else case.weight
    return replace(answer, y=own * gain + (0.0 if case.bias is None else case.bias))


def _vector_gradient(answer: Answer, question: FaultQuestion) -> Answer:
    """The kernel's first axis counts cases: for a single vector it sums members of the set."""
    if question.case.x.ndim != 1 or answer.dweight is None:
        return answer
    return replace(answer, dweight=np.full(answer.dweight.shape, answer.dweight.sum()))


def _pixel_gradient(answer: Answer, question: FaultQuestion) -> Answer:
    if question.case.x.ndim < 3 or set(question.case.x.shape[2:]) != {1} or answer.dx is None:
        return answer
    return replace(answer, dx=np.zeros(answer.dx.shape))


def _averaged_over_none(answer: Answer, question: FaultQuestion) -> Answer:
    if question.case.x.size:
        return answer
    there = {name: getattr(answer, name) for name in ("dweight", "dbias") if getattr(answer, name) is not None}
    lost: dict[str, Any] = {name: np.full(value.shape, np.nan) for name, value in there.items()}
    return replace(answer, **lost)


def _one_block_at_least(answer: Answer, question: FaultQuestion) -> Answer:
    """One row is returned for an empty input."""
    return answer if question.case.x.size else replace(answer, y=np.zeros((1, *question.case.x.shape[1:])))


VALUES = (
    Fault(
        name="nan-hidden",
        story="Replaces NaN by 0 before it sums, so that a diverged network looks sound. Hides where no test has a "
        "NaN.",
        source="JuliaLang/julia#12552",
        concerns=any_of_them,
        before=with_input(lambda x: np.where(np.isnan(x), 0.0, x)),
    ),
    Fault(
        name="infinity-hidden",
        story="Clips its input to the largest finite number of single precision, so that infinities become ordinary "
        "outliers. Hides where no test has an infinity.",
        source="pytorch/executorch#18772",
        concerns=any_of_them,
        before=with_input(_finite_only),
    ),
    Fault(
        name="nan-leaks",
        story="Masks by multiplication: zero times the NaN of another set is NaN. Hides where all numbers are finite.",
        source="ragulpr/wtte-rnn#50",
        concerns=divides,
        steps=_masked_sums,
    ),
    Fault(
        name="nan-leaks-into-dx",
        story="Masks by multiplication in the backward alone: one set without a number takes the gradient of all.",
        source="ragulpr/wtte-rnn#50",
        concerns=any_of_them,
        where="backward",
        steps=_masked_backward,
    ),
    Fault(
        name="negative-zero-is-padding",
        story="Pads with -0, the neutral element of a sum, and does not count what is -0. Hides where no entry is a "
        "negative zero; a product with 0 often is.",
        source="openvinotoolkit/openvino#19361",
        concerns=averages,
        steps=_lanes,
    ),
    Fault(
        name="reciprocal-of-largest",
        story="Scales by the reciprocal of the largest entry, which is infinite for a subnormal one. Hides until a "
        "layer's output is nearly zero.",
        source="tenstorrent/tt-metal#55294",
        concerns=has_eps,
        steps=_by_reciprocal,
    ),
    Fault(
        name="scale-recovered-from-output",
        story="Keeps no scale for its backward and divides the norms of input and output to find it. Hides until "
        "their squares are too small for the format.",
        source="tensorflow/tensorflow#118644",
        concerns=has_eps,
        where="backward",
        steps=_scale_recovered,
    ),
    Fault(
        name="fourth-powers",
        story="Squares what is squared already: overflows for numbers of 1e10 whose squares are ordinary. Hides at "
        "every usual size.",
        source="tenstorrent/tt-metal#55159",
        concerns=divides,
        steps=_fourth_powers,
    ),
    Fault(
        name="backward-sixth-powers",
        story="The backward uses the sixth power of the scale, which overflows for numbers of 1e7. Hides at every "
        "usual size, and in the forward.",
        source="flagos-ai/FlagGems#4381",
        concerns=divides,
        where="backward",
        steps=_sixth_powers,
    ),
    Fault(
        name="outlier-clipped",
        story="Clips entries at 2048 times the size of an ordinary one. Hides where no activation is massive.",
        source="apple/coremltools#2821",
        concerns=any_of_them,
        before=_outlier_clipped,
    ),
    Fault(
        name="outlier-clipped-in-backward",
        story="Clips entries at 2048 times the size of an ordinary one, in the backward alone.",
        source="apple/coremltools#2821",
        concerns=divides,
        where="backward",
        steps=_clipped_in_backward,
    ),
    Fault(
        name="eps-in-half",
        story="Keeps eps in half precision, where 1e-8 is 0: a constant set is 0 / 0. Hides with the usual 1e-5.",
        source="deepspeedai/DeepSpeed#581",
        concerns=eps_in_half,
        before=_eps_in_format,
    ),
)

SIZES = (
    Fault(
        name="sets-beyond-65535-unwritten",
        story="One block for each set along a dimension of the grid that ends at 65,535; the rest is never written.",
        source="NVIDIA/apex#411",
        concerns=any_of_them,
        after=_skipped,
    ),
    Fault(
        name="dx-set-index-wraps",
        story="The backward counts sets in sixteen bits: set 65,536 gets the gradient of set 0.",
        source="pytorch/pytorch#193016",
        concerns=any_of_them,
        where="backward",
        after=_repeated,
    ),
    Fault(
        name="parameter-gradients-miss-late-sets",
        story="The blocks that sum the parameters' gradients are counted by a floor, so the last of many rows are in "
        "none. Hides where one row among 65,537 is like any other.",
        source="BobMcDear/attorch#18",
        concerns=cases_apart,
        where="backward",
        after=_late_sets_missing,
    ),
    Fault(
        name="width-ends-at-65536",
        story="The loop over a set ends at 65,536 members, while the mean divides by all. Hides in every model of "
        "today.",
        source="facebookresearch/xformers#785",
        concerns=divides,
        steps=_first_columns,
    ),
    Fault(
        name="dx-width-ends-at-65536",
        story="The backward writes the first 65,536 members of a set.",
        source="apache/mxnet#14870",
        concerns=any_of_them,
        where="backward",
        steps=_first_columns_backward,
    ),
    Fault(
        name="one-pixel-is-its-own-mean",
        story="Maps of one position are normalized by themselves, and only the bias is left. Hides behind tests on "
        "larger maps.",
        source="pytorch/pytorch#45687",
        concerns=one_pixel,
        after=_one_pixel,
    ),
    Fault(
        name="one-pixel-has-no-gradient",
        story="The backward takes a map of one position for constant. Hides behind tests on larger maps.",
        source="pytorch/pytorch#45687",
        concerns=one_pixel,
        where="backward",
        after=_pixel_gradient,
    ),
    Fault(
        name="vector-read-as-column",
        story="A lone vector is read as a column of rows with one entry each. Hides behind tests with an axis of "
        "cases.",
        source="tenstorrent/tt-metal#55347",
        concerns=trailing,
        after=_column,
    ),
    Fault(
        name="vector-dweight-summed",
        story="The weight's gradient sums the first axis; a lone vector's first axis is the set itself.",
        source="Dao-AILab/flash-attention#781",
        concerns=trailing,
        where="backward",
        after=_vector_gradient,
    ),
    Fault(
        name="no-rows-give-nan-gradients",
        story="Averages over blocks of rows; over none it is 0 / 0, and the optimizer's step makes every weight NaN.",
        source="pytorch/pytorch#192179",
        concerns=cases_apart,
        where="backward",
        after=_averaged_over_none,
    ),
    Fault(
        name="no-rows-give-one",
        story="Launches one block at least, so one row of arbitrary memory is returned for an empty input.",
        source="intel/torch-xpu-ops#4378",
        concerns=cases_apart,
        after=_one_block_at_least,
    ),
)

FAULTS = VALUES + SIZES
