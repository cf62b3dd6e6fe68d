"""What is measured against the reference: the mode of the gradient, running statistics, and accuracy.

This comes after the kind and the contract of the forward pass were found: the reference is evaluated under them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.contract import GRADIENTS
from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT32, FLOAT64, FORMATS, Array
from normcheck.core.uses import WIDE
from normcheck.identify import measure
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.bounds.contracted import forward_bound
from normcheck.normalizers.case import Case
from normcheck.normalizers.composition import undefined
from normcheck.normalizers.reference.cast_order import AFTER, BEFORE, cast_bits, output_format, outputs
from normcheck.normalizers.reference.oracle import evaluate, gradient, partition
from normcheck.normalizers.sampling.recipes import small, state, values
from normcheck.normalizers.subject import Subject


@dataclass(frozen=True, slots=True)
class Gradient:
    """The mode of the gradient: one of `GRADIENTS`, "none" if it is another, or "not offered".

    a, b: how much of the terms through mean and variance the gradient has; why: the reason of "none".
    """

    mode: str
    a: float = math.nan
    b: float = math.nan
    why: str = ""


def passes_through(subject: Subject) -> Gradient:
    """Fits a and b of dx = (g - a mean(g) - b xh mean(g xh)) / s to all entries; they name a mode if each is 0 or 1."""
    domain = subject.domain
    if not domain.gradient:
        return Gradient("not offered", why=domain.absent.get("gradient", ""))
    case = small(subject.normalizer, measure.drawn(subject, measure.usual_format(subject)))
    try:
        dx = subject.call(case, True).dx
    except CallError as error:
        return Gradient("none", why=error.reason)
    if dx is None:
        return Gradient("not offered")
    truth = evaluate(subject.normalizer, case, subject.contract)
    modes = {through: gradient(truth, name) for name, through in GRADIENTS.items()}
    constant = modes[0, 0]
    terms = {"a": modes[1, 0] - constant, "b": modes[0, 1] - constant}
    present = [name for name, term in terms.items() if np.any(np.abs(term) > measure.PLAIN * np.abs(constant).max())]
    basis = np.stack([terms[name].ravel() for name in present], axis=1)
    found = dict(zip(present, np.linalg.lstsq(basis, (dx - constant).ravel(), rcond=None)[0], strict=True))
    off = measure.relative(constant.ravel() + basis @ np.asarray([found[name] for name in present]), dx.ravel())
    a, b = float(found.get("a", math.nan)), float(found.get("b", math.nan))
    if off > measure.PLAIN:
        return Gradient("none", why="no combination of the closed form's terms")
    for name, (in_mean, in_variance) in GRADIENTS.items():
        fits = [
            abs(found[key] - one) < measure.PLAIN for key, one in (("a", in_mean), ("b", in_variance)) if key in found
        ]
        if all(fits):
            return Gradient(name, a, b)
    return Gradient("none", a, b)


@dataclass(frozen=True, slots=True)
class Running:
    """How running statistics are updated and used. momentum: "new", "old", "fixed", "never updated" or "unknown"."""

    momentum: str
    new_weight: float  # of the new batch, in the update that was measured
    variance: str  # "unbiased", "biased" or "unknown"
    evaluation: str  # "running statistics", "statistics of the batch", "unknown" or "not offered"


def running(subject: Subject) -> Running | None:
    """Fits one update r' = r + a (m - r) of the mean: a gives the momentum, and then the variance that was stored.

    None if the normalizer or the callable has no running statistics.
    """
    if not subject.normalizer.state or not (subject.domain.evaluation or subject.domain.state):
        return None
    evaluation = _evaluation(subject)
    case = _with_state(subject, training=True)
    answer = subject.call(case, False)
    if answer.running_mean is None or answer.running_var is None or case.running_mean is None:
        return Running(measure.UNKNOWN, math.nan, measure.UNKNOWN, evaluation)
    part = partition(subject.normalizer, case)
    units = case.running_mean.size
    flat = part.gather(case.x)
    mean = flat.mean(axis=1).reshape(-1, units).mean(axis=0)
    weight = _slope(mean - case.running_mean, answer.running_mean - case.running_mean)
    momentum = next((name for name, m in (("new", case.momentum), ("old", 1.0 - case.momentum))
                     if abs(weight - m) < measure.PLAIN), "fixed")  # fmt: skip
    if not abs(weight) > measure.PLAIN:
        return Running("never updated", 0.0, measure.UNKNOWN, evaluation)
    assert case.running_var is not None
    stored = (answer.running_var - (1.0 - weight) * case.running_var) / weight
    biased = flat.var(axis=1).reshape(-1, units).mean(axis=0)
    options = {"unbiased": biased * part.n / (part.n - 1.0), "biased": biased}
    variance = next((name for name, v in options.items() if measure.relative(stored, v) < 10.0 * measure.PLAIN), "")
    return Running(momentum, weight, variance or measure.UNKNOWN, evaluation)


def _slope(x: Array, y: Array) -> float:
    """The slope of the line through zero; NaN if the points are on no line."""
    slope = float((x * y).sum() / (x * x).sum())
    return slope if float(np.abs(y - slope * x).max()) < measure.PLAIN * float(np.abs(x).max()) else math.nan


def _with_state(subject: Subject, *, training: bool) -> Case:
    format = measure.usual_format(subject)
    case = state(subject.normalizer, measure.drawn(subject, format), training=training)
    return case.but(x=measure.plain(subject, format).x, dy=None, momentum=0.25)


def _evaluation(subject: Subject) -> str:
    if not subject.domain.evaluation:
        return "not offered"
    case = _with_state(subject, training=False)
    y = subject.call(case, False).y
    for used, training in (("running statistics", False), ("statistics of the batch", True)):
        if measure.relative(y, evaluate(subject.normalizer, case.but(training=training), subject.contract).y) < 1e-3:
            return used
    return measure.UNKNOWN


@dataclass(frozen=True, slots=True)
class Half:
    """How a format below float32 is handled.

    sums: the format of sums, "wide" or "own"; cast: when the result is cast down; output: the format of the output;
    accuracy: the accuracy class.
    """

    sums: str
    cast: str
    output: str
    accuracy: str


def half(subject: Subject, format: str) -> Half:
    """Sums in the format itself make slopes wrong by its roundoff; rounding outputs once averages out."""
    case = measure.plain(subject, format, n=256, sets=32)
    case = case.but(x=case.format.round(case.x - 0.5))
    gain = 2.0 if subject.contract.weight == "1+w" else 1.0
    truth = evaluate(subject.normalizer, case, subject.contract)
    exact = measure.fitted(truth.partition.gather(case.x), truth.saved.xh)
    seen = measure.lines(subject, case, gain)
    with np.errstate(all="ignore"):
        off = float(np.sqrt(np.square(seen.slope / exact.slope - 1.0).mean())) / case.format.u
    sums = "wide" if off < 1.5 * OWN_RATIO / math.sqrt(truth.setting.n / 256.0) else "own"
    cast, output = _cast(subject, format) if sums == "wide" else ("not visible", subject.call(case, False).format)
    return Half(sums, cast, output, accuracy(subject, format, offset=10.0))


OWN_RATIO = 0.1
"""In roundoffs, the error of a slope over 256 entries: rounded outputs leave 0.03, a rounded root 0.3 or more."""


def _cast(subject: Subject, format: str) -> tuple[str, str]:
    """Whether the weight multiplies before or after the cast down, and the format of the output.

    The two orders round differently, entry by entry.
    """
    case = small(subject.normalizer, measure.drawn(subject, format, n=64, sets=8))
    case = case.but(bias=None if case.bias is None else np.zeros(case.bias.shape))
    answer = subject.call(case, False)
    if case.weight is None:
        return "no weight", answer.format
    truth = evaluate(subject.normalizer, case, subject.contract)
    made = outputs(truth)
    orders = {
        "cast last": made[AFTER],
        "cast before the weight": made[BEFORE],
        "output wider": (truth.xh * truth.gain,),
    }
    same = {name: float(np.any([np.abs(answer.y - y) <= 1e-6 * np.abs(y) for y in some], axis=0).mean())
            for name, some in orders.items()}  # fmt: skip
    best = max(same, key=lambda name: same[name])
    return (best if same[best] > 0.97 else "not visible"), answer.format


def eps_format(subject: Subject) -> str:
    """The format in which eps is held, as the contract names it: "own" or "float32"; empty if float64 does not show it.

    It shows on sets whose variance is far below eps: there the two differ by far more than the bound of the output.
    """
    if FLOAT64.name not in subject.domain.formats or subject.normalizer.eps is None:
        return ""
    draw = measure.drawn(subject, FLOAT64.name, eps=1e-5)
    training = subject.domain.training
    case = small(subject.normalizer, draw) if training else state(subject.normalizer, draw, training=False)
    scale = 2.0**-4 * math.sqrt(case.eps)
    case = case.but(x=case.x * scale, dy=None)
    if case.running_var is not None:
        case = case.but(running_mean=np.zeros_like(case.running_var), running_var=scale * scale * case.running_var)
    y = subject.call(case, False).y
    fits = []
    for name in ("own", FLOAT32.name):
        other = replace(subject, contract=replace(subject.contract, eps_format=name))
        truth = evaluate(other.normalizer, case, other.contract)
        fits += [name] if np.all(np.abs(y - truth.y) <= forward_bound(other, truth)) else []
    return fits[0] if len(fits) == 1 else ""


def has_bits(subject: Subject) -> bool:
    """Whether no format shows bits that are not those of the composition, in an output that is right."""
    composition = None if undefined(subject.normalizer, subject.contract) else subject.composed
    call = None if composition is None else composition(subject.contract)
    if call is None or not subject.domain.training:
        return True
    for format in subject.domain.formats:
        case = small(subject.normalizer, measure.drawn(subject, format, n=64, sets=8))
        answer, expected = subject.call(case, False), call(case, False)
        truth = evaluate(subject.normalizer, case, subject.contract)
        right = bool(np.all(np.abs(answer.y - truth.y) <= forward_bound(subject, truth)))
        if right and np.any(case.format.steps_apart(answer.y, expected.y)):
            return False
    return True


def cast_order(subject: Subject) -> str:
    """The order of cast and weight, as the contract names it; empty if neither shows.

    The bits in a narrow format show it. Where statistics are kept in half they do not: then the format shows it that an
    output has which is multiplied by a wide weight.
    """
    for format in (name for name in subject.domain.formats if FORMATS[name].narrow):
        weighted = "weight" in subject.domain.affine
        draw = measure.drawn(subject, format, n=64, sets=8)
        draw = replace(draw, affine="weight") if weighted else draw
        training = subject.domain.training
        case = small(subject.normalizer, draw) if training else state(subject.normalizer, draw, training=False)
        if case.weight is None:
            break
        truth = evaluate(subject.normalizer, case, subject.contract)
        counted = truth.partition.per_set(bounds.resolved(truth, bounds.SOUND))
        found = cast_bits(truth, subject.call(case, False).y, np.broadcast_to(counted, truth.y.shape)).order
        found = found or _cast_by_format(subject, case)
        if found:
            return found
    return ""


def _cast_by_format(subject: Subject, case: Case) -> str:
    """The order that the format of the output shows where the weight is wider than the input; empty if none."""
    if WIDE not in subject.domain.uses:
        return ""
    wide = case.but(use=WIDE)
    got = subject.call(wide, False).format
    return next((name for name in (BEFORE, AFTER) if output_format(wide, name).name == got), "")


def accuracy(subject: Subject, format: str, *, offset: float) -> str:
    """The best accuracy class whose bound holds on rows of every kind up to an offset; "none" if no bound holds."""
    case = values(subject.normalizer, replace(measure.drawn(subject, format, n=64, sets=8), offset=offset))
    truth = evaluate(subject.normalizer, case, subject.contract)
    error = np.abs(subject.call(case, False).y - truth.y)
    for one in bounds.classes(case.format):
        mask = truth.partition.per_set(bounds.resolved(truth, one))
        allowed = np.broadcast_to(bounds.forward(truth, one).total, error.shape)
        if np.all((error <= allowed) | ~mask):
            return one.name
    return "none"


KAPPAS = tuple(10.0 ** (k / 2.0) for k in range(15))
"""Ratios of mean to standard deviation at which accuracy is measured, up to 1e7: the precision of float32."""

LOST = 0.01
"""Share of the output's size from which accuracy counts as lost."""


def largest_offset(subject: Subject) -> float | None:
    """The largest ratio of mean to standard deviation at which float32 loses less than 1 %; None without float32."""
    if FLOAT32.name not in subject.domain.formats:
        return None
    case = measure.plain(subject, FLOAT32.name, n=64)
    kept = 0.0
    for ratio in KAPPAS:
        here = case.but(x=case.format.round(case.x - 0.5 + ratio))
        exact = evaluate(subject.normalizer, here, subject.contract).y
        if not measure.relative(subject.call(here, False).y, exact) < LOST:
            break
        kept = ratio
    return kept
