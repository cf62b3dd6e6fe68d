"""The eps of an implementation that takes none: declared, known from an attribute, or measured from its outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT16, FLOAT64
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, state, values
from normcheck.normalizers.subject import Call


@dataclass(frozen=True, slots=True)
class FixedEps:
    """The value, None if it is an argument.

    in_float64: the value in float64 if it differs from format to format, as the machine epsilon does; else None.
    measured: the outputs show the value; otherwise it is what the contract or an attribute says, or torch's default.
    place: "floor" or "root-floor" if it is not added but the least length of a set, or the least root; else empty.
    """

    value: float | None
    in_float64: float | None = None
    measured: bool = False
    place: str = ""


FREE = FixedEps(None)
"""For an implementation that takes eps as an argument, or whose formula has none."""

SCALES = {True: (1e-5, 1e-9, 1e-14, 1e-20, 1e-30), False: (1e-5, 1e-9, 1e-13, 1e-17)}
"""Deviations of the rows that eps is measured on, in float64 (True) and in other formats, whose range is smaller."""

SEEN = 0.1
"""Least ratio of eps to the variance with which it is measured: a smaller scale shows it better."""

SAME = 0.02
"""Largest relative spread over rows with which a value is one constant."""

FLOORS = ("floor", "root-floor")
"""Places of an eps that is not added."""

PLAUSIBLE = 0.2
"""Values above are none: an implementation that does not normalize can show any number."""


def of(
    normalizer: Normalizer,
    contract: Contract,
    call: Call,
    base: Draw,
    known: float | None,
    formats: Sequence[str],
    frozen: bool,
) -> FixedEps:
    """The eps of an implementation without that argument.

    base: an ordinary draw that it accepts. known: of the contract or an attribute. formats: those that it serves.
    frozen: it normalizes by running statistics only.
    """
    if normalizer.eps is None:
        return FixedEps(0.0)
    measure = _in_evaluation if frozen else measured
    found = measure(normalizer, contract, call, base)
    if known is not None:
        confirmed = found is not None and abs(found - known) <= 1e-3 * known
        return FixedEps(known, measured=confirmed and contract.eps is None)
    wide = None
    if FLOAT64.name in formats:
        wide = measure(normalizer, contract, call, replace(base, format=FLOAT64.name))
    if found is None:
        found = wide
    if contract.eps_place in FLOORS or (contract.eps_place == "inside" and found == 0.0 and not frozen):
        place, least = _floor(normalizer, contract, call, base, formats)
        if place:
            return FixedEps(least, measured=True, place=place)
    if found is None:
        return FixedEps(normalizer.eps)
    return FixedEps(found, wide, measured=True)


def measured(normalizer: Normalizer, contract: Contract, call: Call, base: Draw) -> float | None:
    """The eps that the outputs show in the format of the draw; None if they show no constant.

    It is measured on rows of tiny variance. With xh = c / s known from the output, eps is s^2 - v if it is added inside
    the root, and s - sqrt(v) if outside. It is 0 if the output of the tiniest rows is exact, or not finite.
    """
    case = values(normalizer, base)
    zero, outside = False, contract.eps_place == "outside"
    for scale in SCALES[case.format == FLOAT64]:
        if case.format == FLOAT16 and scale < SCALES[False][0]:
            break
        found, variance = _on_rows(normalizer, contract, call, case, scale)
        if found is None:
            return None
        if not np.all(np.isfinite(found)):
            zero = True  # 0 / 0: the squares of the rows underflow, and nothing is added to them
            break
        median, spread = float(np.median(found)), float(np.ptp(found))
        if SEEN * variance < median < PLAUSIBLE:
            if spread >= SAME * median:
                return None
            near, _ = _on_rows(normalizer, contract, call, case, median if outside else math.sqrt(median))
            added = near is not None and bool(np.all(np.abs(near - median) < SAME * median))
            return _rounded(median) if added else 0.0 if zero else None  # else a floor, far below the usual rows
        if abs(median) > PLAUSIBLE * variance + spread:
            return None
        zero = bool(np.all(np.abs(found) < SAME * variance))
    return 0.0 if zero else None


def _floor(
    normalizer: Normalizer, contract: Contract, call: Call, base: Draw, formats: Sequence[str]
) -> tuple[str, float]:
    """Place and value of a floor; ("", 0.0) if there is none. Two widths show whether it is one of lengths."""
    wide = FLOAT64.name in formats
    narrow, broad = (replace(base, n=n, format=FLOAT64.name if wide else base.format) for n in (base.n, 2 * base.n))
    found = [_least_root(normalizer, contract, call, draw, wide=wide) for draw in (narrow, broad)]
    if found[0] is None:
        return "", 0.0
    root, n = found[0]
    constant = found[1] is not None and found[1][1] != n and abs(found[1][0] - root) < SAME * root
    if constant or not normalizer.mean_square:
        return "root-floor", _rounded(root)
    return "floor", _rounded(root * math.sqrt(n))


def _least_root(
    normalizer: Normalizer, contract: Contract, call: Call, draw: Draw, *, wide: bool
) -> tuple[float, int] | None:
    """What all rows are divided by that are far below it, and the members of a set; None where rows differ in that."""
    case = values(normalizer, draw)
    inside = replace(contract, eps_place="inside")
    before = 0.0
    for scale in SCALES[wide]:
        found, variance = _on_rows(normalizer, inside, call, case, scale)
        if found is None or not np.all(np.isfinite(found)):
            return None
        s = np.sqrt(np.maximum(found + variance, 0.0))
        median = float(np.median(s))
        if variance < SEEN * median * median and np.ptp(s) < SAME * median:
            if abs(before - median) < SAME * median:
                part = normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim)
                return median, part.n
            before = median
    return None


def _in_evaluation(normalizer: Normalizer, contract: Contract, call: Call, base: Draw) -> float | None:
    """The eps of an implementation that normalizes by running statistics, from a running variance of 0."""
    case = state(normalizer, base, training=False)
    assert case.running_mean is not None
    zeros = np.zeros_like(case.running_mean)
    case = case.but(running_mean=zeros, running_var=zeros, weight=None if case.weight is None else np.ones_like(zeros),
                    bias=None if case.bias is None else zeros)  # fmt: skip
    try:
        y = call(case, False).y
    except CallError:
        return None
    if not np.all(np.isfinite(y)):
        return 0.0
    gain = 2.0 if contract.weight == "1+w" and case.weight is not None else 1.0
    with np.errstate(all="ignore"):
        s = np.abs(gain * case.x / y)[np.abs(case.x) > PLAUSIBLE]
    found = s if contract.eps_place == "outside" else s * s
    median = float(np.median(found))
    return _rounded(median) if 0.0 < median < PLAUSIBLE and np.ptp(found) < SAME * median else None


def _rounded(value: float) -> float:
    """The nearest number of two decimal digits, or power of two as machine epsilons are, if it is near."""
    candidates = (float(f"{value:.1e}"), 2.0 ** round(math.log2(value)))
    return next((one for one in candidates if abs(one - value) < 1e-4 * one), value)


def _on_rows(
    normalizer: Normalizer, contract: Contract, call: Call, case: Case, scale: float
) -> tuple[np.ndarray | None, float]:
    """The value that each row of some deviation shows, and the median of their variances; None if the call fails."""
    part = normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim)
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((part.sets, part.n))
    flat = case.format.round((flat - flat.mean(axis=1, keepdims=True)) * scale)
    probe = case.but(x=part.scatter(flat))
    try:
        y = call(probe, False).y
    except CallError:
        return None, 0.0
    xh = y if probe.bias is None else y - part.spread(probe.bias)
    if probe.weight is not None:
        gain = probe.weight + (1.0 if contract.weight == "1+w" else 0.0)
        xh = xh / part.spread(gain)
    c = flat - flat.mean(axis=1, keepdims=True) if normalizer.centered else flat
    v = np.square(c).mean(axis=1)
    if contract.variance == "unbiased":
        v = v * part.n / (part.n - 1.0)
    with np.errstate(all="ignore"):
        s = np.sqrt(np.square(c).sum(axis=1) / np.square(part.gather(np.broadcast_to(xh, case.x.shape))).sum(axis=1))
        eps = s - np.sqrt(v) if contract.eps_place == "outside" else s * s - v
    unit = np.sqrt(v) if contract.eps_place == "outside" else v
    return eps, float(np.median(unit))
