"""What a bound callable computes, measured from its outputs: its name and source code are not read.

Every input is made so that the possible results lie far apart: few members, so that n and n - 1 differ by a tenth; a
mean, so that subtracting it shows; scales from far below to far above any eps. Each output is read as
y = gain * xh + bias with xh = (x - a mean(x)) / s, and a and s are fitted set by set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT32, FLOAT64, Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import AXES
from normcheck.normalizers.reference.oracle import partition
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.recipes import Draw, small
from normcheck.normalizers.subject import Subject

PLAIN = 1e-4
"""Results that differ by less, relatively, are equal: far above float32's errors, far below effects of conventions."""

UNKNOWN = "unknown"


def usual_format(subject: Subject) -> str:
    """The widest format that the callable accepts."""
    return next(f for f in (FLOAT64.name, FLOAT32.name, *subject.domain.formats) if f in subject.domain.formats)


def drawn(subject: Subject, format: str, *, n: int = 12, sets: int = 6, seed: int = 1, eps: float = 1e-3) -> Draw:
    """A draw inside the domain, if possible of a rank that shows every axis."""
    domain = subject.domain
    members = next(k for k in (n, 12, 8, 16, 10, 6, n) if k not in domain.refused)
    seen = [r for r in domain.ranks if r <= (4 if subject.normalizer.sets.layout == "channels" else 3)]
    if domain.eps is not None:
        eps = domain.eps64 if format == FLOAT64.name and domain.eps64 is not None else domain.eps
    draw = Draw(
        seed=seed, n=members, sets=sets, rank=max(seen or domain.ranks), format=format, eps=max(eps, domain.least_eps),
        affine=domain.affine[0], dim=domain.dims[0],
    )  # fmt: skip
    return fit(subject.normalizer, draw, domain.sizes)


def plain(subject: Subject, format: str, *, n: int = 12, sets: int = 6) -> Case:
    """A case of noise of unit scale with a mean; weight 1 and bias 0, if it has any."""
    case = small(subject.normalizer, drawn(subject, format, n=n, sets=sets))
    weight, bias = (None if p is None else np.full(p.shape, v) for p, v in ((case.weight, 1.0), (case.bias, 0.0)))
    return case.but(x=case.format.round(case.x + 0.5), weight=weight, bias=bias)


def relative(observed: Array, expected: Array) -> float:
    """The root mean square of the difference over that of the expected values; infinite if it is not finite."""
    with np.errstate(all="ignore"):
        found = float(np.sqrt(np.square(observed - expected).mean() / np.square(expected).mean()))
    return found if math.isfinite(found) else math.inf


def check_deterministic(subject: Subject) -> None:
    """Raises `CallError` if two calls on one input return different outputs, or if the output is not finite."""
    case = plain(subject, usual_format(subject))
    first, again = subject.call(case, False).y, subject.call(case, False).y
    if not np.all(np.isfinite(first)):
        raise CallError(f"{subject.name} returned NaN or infinity for an ordinary input")
    if not np.array_equal(first, again):
        raise CallError(f"{subject.name} returned another answer when asked the same again")


@dataclass(frozen=True, slots=True)
class Affine:
    """How weight and bias act.

    weight: "w", "1+w", "ignored", "none" or "unknown"; bias: "added", "ignored", "none" or "unknown".
    """

    weight: str
    bias: str
    gain: float = 1.0  # the factor of xh at weight 1


def affine(subject: Subject) -> Affine:
    """Fits y = (w + o) xh + b: o is measured at two weights w, and checked at a third, which is negative."""
    case = plain(subject, usual_format(subject))
    one = subject.call(case, False).y
    size = float(np.abs(one).max())
    bias = "none"
    if case.bias is not None:
        moved = subject.call(case.but(bias=np.ones(case.bias.shape)), False).y - one
        bias = "added" if np.all(np.abs(moved - 1.0) < PLAIN) else UNKNOWN
        bias = "ignored" if not np.any(np.abs(moved) > PLAIN * size) else bias
    if case.weight is None:
        return Affine("none", bias)
    two, minus = (subject.call(case.but(weight=np.full(case.weight.shape, w)), False).y for w in (2.0, -1.0))
    xh = two - one
    if not np.any(np.abs(xh) > PLAIN * size):
        return Affine("ignored", bias)
    gain = float((one * xh).sum() / (xh * xh).sum())
    straight = relative(one - minus, 2.0 * xh) < PLAIN
    factors = {1.0: "w", 2.0: "1+w"}
    weight = next((factor for value, factor in factors.items() if straight and abs(gain - value) < PLAIN), UNKNOWN)
    return Affine(weight, bias, gain if gain and math.isfinite(gain) else 1.0)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Which entries share a statistic, measured by moving one entry at a time."""

    shared: tuple[str, ...]  # axes along which other outputs move
    separate: tuple[str, ...]  # axes along which none moves
    reads: int  # how many entries of a set move the other outputs
    members: int
    fits: bool  # whether the outputs that move are exactly those of the sets of the bound kind
    whole: bool  # whether whole axes share a statistic, not blocks of an axis
    axes: tuple[str, ...]  # the shared axes by their names in `AXES`

    @property
    def words(self) -> str:
        """In one phrase."""
        if not self.shared:
            return "none: every output depends on its own entry alone"
        apart = f", one for each {' and '.join(self.separate)}" if self.separate else ""
        some = f", read from the first {self.reads} of {self.members}" if self.reads < self.members else ""
        block = "" if self.whole else "some of the "
        return f"{block}entries along {' and '.join(self.shared)}{apart}{some}"


NAMES = {
    "channels": ("case", "group", "channel", "position"),
    "trailing": ("case", "group", "unit", "position"),
    "rows": ("case", "group", "vector", "entry"),
}
"""Names of the axes of `AXES` in reports, by layout."""


def sharing(subject: Subject) -> Sharing:
    """Moves each entry of the first set, and one of the last: the outputs that move share its statistic."""
    case = plain(subject, usual_format(subject))
    part = partition(subject.normalizer, case)
    y = subject.call(case, False).y
    limit = 0.1 * PLAIN * float(np.abs(y).max())
    order = part.gather(np.arange(case.x.size).reshape(case.x.shape)).astype(int)
    place = np.stack(np.unravel_index(np.arange(case.x.size), part.seen))
    canonical = part.canonical(np.arange(case.x.size).reshape(case.x.shape)).astype(int).ravel()
    along: set[int] = set()
    reads, fits, whole = 0, True, True
    assumed = max(1, math.floor(part.n * case.part)) if subject.normalizer.partial else part.n
    for i, entry in enumerate(order[0]):
        moved = _moved(subject, case, y, int(entry), limit)
        reads += bool(moved - {int(entry)})
        fits &= moved == (set(order[0].tolist()) if i < assumed else {int(entry)})
        where = place[:, np.isin(canonical, [*moved, entry])]
        here = {a for a in range(4) if len(set(where[a])) > 1}
        whole &= len(moved | {int(entry)}) == math.prod(part.seen[a] for a in here)
        along |= here
    last = _moved(subject, case, y, int(order[-1][0]), limit)
    fits &= last == set(order[-1].tolist())
    if part.seen[1] == 1 and 2 in along:  # the only group is shared with its units
        along |= {1}
    names = NAMES[subject.normalizer.sets.layout]
    there = [a for a in range(4) if part.seen[a] > 1]
    return Sharing(
        tuple(names[a] for a in there if a in along), tuple(names[a] for a in there if a not in along),
        reads, part.n, fits, whole, tuple(AXES[a] for a in sorted(along)),
    )  # fmt: skip


def _moved(subject: Subject, case: Case, y: Array, entry: int, limit: float) -> set[int]:
    """The outputs that change by more than a limit as one entry of the input does, by flat index."""
    x = case.x.copy()
    x.flat[entry] += 2.0 if x.flat[entry] <= 0 else -2.5
    return {int(i) for i in np.flatnonzero(np.abs(subject.call(case.but(x=x), False).y - y) > limit)}


@dataclass(frozen=True, slots=True, eq=False)
class Statistic:
    """What a set is divided by.

    root: maps the entries that are read, (sets, members), to the divisor of each set, (sets, 1).
    """

    name: str
    divisor: str
    root: Callable[[Array], Array]
    homogeneous: bool = True  # twice the input has twice the divisor


def _c(x: Array) -> Array:
    out: Array = x - x.mean(axis=1, keepdims=True)
    return out


def _mean(x: Array, lost: int = 0) -> Array:
    out: Array = x.sum(axis=1, keepdims=True) / (x.shape[1] - lost)
    return out


VARIANCE, MEAN_SQUARE, NORM = "root of the variance", "root of the mean square", "root of the sum of squares"

NOTHING = Statistic("nothing", "", lambda x: np.ones_like(x[:, :1]), homogeneous=False)

STATISTICS = (
    NOTHING,
    Statistic(VARIANCE, "n", lambda x: np.sqrt(_mean(_c(x) ** 2))),
    Statistic(VARIANCE, "n - 1", lambda x: np.sqrt(_mean(_c(x) ** 2, 1))),
    Statistic(MEAN_SQUARE, "n", lambda x: np.sqrt(_mean(x**2))),
    Statistic(MEAN_SQUARE, "n - 1", lambda x: np.sqrt(_mean(x**2, 1))),
    Statistic(NORM, "", lambda x: np.sqrt((x**2).sum(axis=1, keepdims=True))),
    Statistic("root of the sum of squared deviations", "", lambda x: np.sqrt((_c(x) ** 2).sum(axis=1, keepdims=True))),
    Statistic("mean absolute deviation", "n", lambda x: _mean(np.abs(_c(x)))),
    Statistic("mean absolute value", "n", lambda x: _mean(np.abs(x))),
    Statistic("sum of absolute values", "", lambda x: np.abs(x).sum(axis=1, keepdims=True)),
    Statistic("largest absolute value", "", lambda x: np.abs(x).max(axis=1, keepdims=True)),
    Statistic("variance itself", "n", lambda x: _mean(_c(x) ** 2), homogeneous=False),
    Statistic("mean square itself", "n", lambda x: _mean(x**2), homogeneous=False),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lines:
    """The line xh = slope * x + intercept of each set, (sets, 1), and the relative distance of the outputs from it."""

    x: Array
    slope: Array
    intercept: Array
    off: float


def fitted(x: Array, xh: Array) -> Lines:
    """Lines by least squares, set by set. x and xh: (sets, members)."""
    c = _c(x)
    with np.errstate(all="ignore"):
        slope = (c * xh).sum(axis=1, keepdims=True) / (c * c).sum(axis=1, keepdims=True)
    intercept = _mean(xh) - slope * _mean(x)
    return Lines(x, slope, intercept, relative(slope * x + intercept, xh))


def lines(subject: Subject, case: Case, gain: float) -> Lines:
    """Lines through the outputs of a case at weight 1 and bias 0."""
    part = partition(subject.normalizer, case)
    y = np.broadcast_to(subject.call(case, False).y, case.x.shape)
    return fitted(part.gather(case.x), part.gather(y) / gain)


@dataclass(frozen=True, slots=True)
class Shape:
    """Whether xh is linear in x in each set, what share of the mean is subtracted, and what divides."""

    line: bool
    mean: float
    statistic: Statistic | None


def shape(subject: Subject, gain: float, reads: int) -> Shape:
    """Measured at a scale where no eps counts; the statistic that divides is the candidate that equals 1 / slope."""
    case = plain(subject, usual_format(subject))
    found = lines(subject, case.but(x=case.x * 1024.0), gain)
    if not found.off < PLAIN:
        return Shape(line=False, mean=math.nan, statistic=None)
    mean = found.slope * _mean(found.x)
    share = -float((found.intercept * mean).sum() / np.square(mean).sum())
    read = found.x[:, :reads]
    with np.errstate(all="ignore"):
        errors = [float(np.abs(s.root(read) * found.slope - 1.0).max()) for s in STATISTICS]
    best = int(np.nanargmin(np.where(np.isfinite(errors), errors, math.inf)))
    known = errors[best] < PLAIN
    return Shape(line=True, mean=share, statistic=STATISTICS[best] if known else None)


@dataclass(frozen=True, slots=True)
class Eps:
    """An eps and its place: "inside" or "outside" of the root, "floor" under it, "none" or "unknown"."""

    value: float
    place: str


PLACES: dict[str, tuple[Callable[[Array, float], Array], Callable[[float], float]]] = {
    "inside": (lambda root, e: np.sqrt(root**2 + e), lambda s: s * s),
    "outside": (lambda root, e: root + e, lambda s: s),
    "floor": (np.maximum, lambda s: s),
}
"""By place of eps: the scale s from the root of the statistic and eps, and eps from s of a constant set."""

EXPONENTS = tuple(range(-54, 3, 2))
"""Exponents of 2: scales of the input at which s is measured, from far below the root of machine epsilon upward."""


def eps(subject: Subject, gain: float, reads: int, statistic: Statistic, format: str) -> Eps:
    """Measures s at many scales of one input: it is constant far below eps, the statistic far above.

    Between them it shows the place of eps.
    """
    case = plain(subject, format)
    found = [lines(subject, case.but(x=case.x * 2.0**exponent), gain) for exponent in EXPONENTS]
    with np.errstate(all="ignore"):
        root = np.asarray([statistic.root(one.x[:, :reads])[0, 0] for one in found])
        s = np.asarray([1.0 / one.slope[0, 0] for one in found])
    if not np.all(np.isfinite(s)):
        return Eps(math.nan, UNKNOWN)
    if float(np.abs(s / root - 1.0).max()) < 10.0 * PLAIN:
        return Eps(0.0, "none")
    for place, (law, value) in PLACES.items():
        e = value(float(s[0]))
        if float(np.abs(s / law(root, e) - 1.0).max()) < 10.0 * PLAIN:
            return Eps(rounded(e), place)
    return Eps(math.nan, UNKNOWN)


def rounded(value: float) -> float:
    """The nearest value of two digits, or power of two such as machine epsilon, if it is as near as errors allow."""
    if not value > 0:
        return value
    nice = (float(f"{value:.1e}"), 2.0 ** round(math.log2(value)))
    return next((v for v in nice if abs(v - value) < 10.0 * PLAIN * v), value)
