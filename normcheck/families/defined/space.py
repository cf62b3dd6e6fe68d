"""The cases that checks of defined normalizers draw: a draw is a few integers and words, from which the case follows.

Data and weights below a normalizer are small multiples of a power of two, so that their product, re-scaled by powers of
two or shifted, is exact in every format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from normcheck.core.floats import FLOAT32, FLOAT64, FORMATS, WIDE_NAMES, Array
from normcheck.core.layouts import applies
from normcheck.core.space import ChoiceSpace
from normcheck.families.defined.case import DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.subject import DefinedSubject
from normcheck.normalizers.case import Linear, Move
from normcheck.normalizers.transforms import summed

DEFAULTS = -1
"""The option under which every constant has its default."""

INPUTS = 7
"""Inputs of a linear layer."""


@dataclass(frozen=True, slots=True)
class DefinedDraw:
    """The choices of one case; everything else follows from the seed. A rank or a width of 0 is the entry's first."""

    seed: int = 0
    rank: int = 0
    units: int = 0
    cases: int = 6
    values: str = "plain"
    option: int = 0
    eps: float = -1.0  # of an implementation that takes none; negative: the option's
    narrow: bool = False  # eps is held in float32
    without: str = ""  # parameters that an implementation does not take, joined by "+"
    order: str = "contiguous"
    format: str = FLOAT64.name


def _mixed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    rows = (shape[0], *[1] * (len(shape) - 1))
    return np.asarray(rng.standard_normal(shape) * 2.0 ** rng.integers(-6, 4, rows) + rng.integers(-2, 3, rows))


SMALL = "small"
"""The values beside which eps is large."""

FAR = "far"
"""The values whose mean is far above their deviation: a difference of their squares has few digits left."""

MEANS = {FLOAT64.name: 2.0**16, FLOAT32.name: 2.0**10}
"""That mean by format: a sound variance still has a bound by first-order analysis."""

VALUES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "plain": lambda rng, shape: rng.standard_normal(shape),
    "offset": lambda rng, shape: rng.standard_normal(shape) + 4.0,
    SMALL: lambda rng, shape: rng.standard_normal(shape) * 2.0**-9,
    FAR: lambda rng, shape: rng.standard_normal(shape),
    "large": lambda rng, shape: rng.standard_normal(shape) * 2.0**6,
    "mixed": _mixed,
}
"""How the numbers of an input are distributed; mixed: each case in another way."""


def constants(entry: DefinedNormalizer, draw: DefinedDraw) -> dict[str, Any]:
    """The constants of a draw by name."""
    out = dict(entry.constants)
    if draw.option != DEFAULTS:
        out |= {name: some[draw.option % len(some)] for name, some in entry.options.items()}
    eps = {"eps": draw.eps if draw.eps >= 0.0 else out["eps"]} if "eps" in out else {}
    return out | {
        name: float(FLOAT32.round(np.asarray(value))) if draw.narrow else value for name, value in eps.items()
    }


def _shape(entry: DefinedNormalizer, draw: DefinedDraw) -> tuple[tuple[int, ...], int]:
    """The shape of the input, and the number of units."""
    rank, units = draw.rank or entry.served[0], draw.units or entry.units[0]
    space = entry.spaces[rank]
    shapes = {
        "trailing": (draw.cases, *space, units),
        "channels": (draw.cases, units, *space),
        "rows": (units, draw.cases - 1, *space),
        "linear": (draw.cases, INPUTS),
    }
    return shapes[entry.layout], units


def _values(draw: DefinedDraw, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Numbers of an input as a draw wants them distributed."""
    return VALUES[draw.values](rng, shape) + (MEANS[draw.format] if draw.values == FAR else 0.0)


def _groups(rng: np.random.Generator, cases: int, count: int) -> Array:
    """Numbers of groups in ascending order: one of the groups is empty, the others have a case or more each."""
    filled = rng.permutation(count)[: max(count - 1, 1)]
    return np.sort(np.concatenate([filled[:cases], rng.choice(filled, max(cases - len(filled), 0))])).astype(float)


def _made(entry: DefinedNormalizer, draw: DefinedDraw, rng: np.random.Generator, x: Array, units: int) -> DefinedCase:
    format, given = FORMATS[draw.format], constants(entry, draw)
    arrays = {}
    for name in entry.parameters:
        if name in entry.alike:
            arrays[name] = format.round(_values(draw, rng, x.shape))
            continue
        if name in entry.groups:
            arrays[name] = _groups(rng, len(x), given[entry.groups[name]])
            continue
        drawn = rng.uniform(0.5, 2.0, entry.shape(name, x, units))
        drawn = np.ones(drawn.shape) if draw.values == FAR else drawn  # a share of the mean cancels all of it, or none
        signs = 1.0 if name in entry.positive else rng.choice((-1.0, 1.0), drawn.shape)
        arrays[name] = format.round(np.asarray(drawn * signs))
    arrays |= {name: np.full(arrays[name].shape, entry.neutral[name]) for name in draw.without.split("+") if name}
    shape = (len(x), units) if entry.layout == "linear" else x.shape
    drawn_as = {"seed": draw.seed, "values": draw.values}
    dy = format.round(rng.standard_normal(shape))
    return DefinedCase(x, arrays, dy, given, format, draw.order, drawn=drawn_as)


def defined_case(entry: DefinedNormalizer, draw: DefinedDraw) -> DefinedCase:
    """The case of a draw: random numbers."""
    rng = np.random.default_rng(draw.seed)
    shape, units = _shape(entry, draw)
    return _made(entry, draw, rng, FORMATS[draw.format].round(_values(draw, rng, shape)), units)


def _dyadic(rng: np.random.Generator, *shape: int) -> Array:
    """Multiples of 1/4 that are not 0, up to 4 in size."""
    return np.asarray(rng.integers(1, 17, shape) * rng.choice((-0.25, 0.25), shape))


def on_network(entry: DefinedNormalizer, case: DefinedCase, linear: Linear) -> DefinedCase:
    """The case whose input follows from data and weights: their product, or one of them."""
    if entry.layout == "rows":
        return case.but(x=linear.weights, linear=linear)
    if entry.layout == "linear":
        (name,) = (n for n in entry.parameters if entry.shape(n, case.x, 2) == (2, INPUTS))
        return case.but(x=linear.data[:, 0], arrays={**case.arrays, name: linear.weights}, linear=linear)
    out = summed(linear)
    out = np.moveaxis(out, 1, 2) if entry.layout == "trailing" else out
    return case.but(x=np.ascontiguousarray(out).reshape(case.x.shape), linear=linear)


def network_case(entry: DefinedNormalizer, draw: DefinedDraw) -> DefinedCase:
    """The case of a draw below which lies a linear layer, with a change of its data or weights."""
    rng = np.random.default_rng(draw.seed)
    shape, units = _shape(entry, draw)
    space = int(np.prod(entry.spaces[len(shape)])) if entry.layout in ("trailing", "channels") else 1
    linear = Linear(_dyadic(rng, draw.cases, space, INPUTS), _dyadic(rng, units, INPUTS))
    start = np.zeros((units, INPUTS) if entry.layout == "rows" else shape)
    case = _made(entry, draw, rng, start, units)
    move = Move(
        float(rng.choice((2.0, 4.0, 0.5, 3.0))), int(rng.integers(draw.cases)), int(rng.integers(units)),
        tuple(float(v) for v in _dyadic(rng, INPUTS)),
    )  # fmt: skip
    return on_network(entry, case, linear).but(move=move)


@dataclass(frozen=True, slots=True)
class DefinedSpace(ChoiceSpace):
    """The choices of a check of defined normalizers; those of rank, width and constants are the entry's."""

    entries: ClassVar[type] = DefinedNormalizer
    plain: ClassVar[DefinedDraw] = DefinedDraw()

    recipe: Callable[[DefinedNormalizer, DefinedDraw], DefinedCase] = defined_case
    format: tuple[str, ...] = WIDE_NAMES
    values: tuple[str, ...] = tuple(VALUES)
    order: tuple[str, ...] = ("contiguous",)
    cases: tuple[int, ...] = (6, 12)
    option: tuple[int, ...] = (0, 1, 2, 3, DEFAULTS)
    rank: tuple[int, ...] = (0,)
    units: tuple[int, ...] = (0,)
    eps: tuple[float, ...] = (-1.0,)
    narrow: tuple[bool, ...] = (False,)
    without: tuple[str, ...] = ("",)

    def options(self, subject: DefinedSubject) -> dict[str, tuple[Any, ...]]:
        """The options of each choice that the subject supports; rank and width of 0 are those of the entry."""
        out = ChoiceSpace.options(self, subject)
        entry = subject.entry
        ranks = tuple(r for r in entry.served if r in subject.domain.ranks) if self.recipe is defined_case else (0,)
        return out | {"rank": ranks, "units": entry.units if len(self.cases) > 1 else (0,)}

    def able(self, subject: DefinedSubject, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """The choices that the subject serves; constants that it does not take keep their value."""
        entry, fixed = subject.entry, subject.domain.fixed
        some = choices["option"]
        if 0 in some:  # an entry may have more options than most
            some = tuple(dict.fromkeys((*some, *range(max(map(len, entry.options.values()), default=0)))))
        served = tuple(k for k in some if self._keeps(entry, k, fixed))
        eps = fixed.get("eps")
        rank = tuple(r for r in choices["rank"] if r == 0 or r in subject.domain.ranks)
        taken = ("contiguous", *subject.domain.orders)
        order = tuple(o for o in choices["order"] if o in taken and applies((6,) * max(subject.domain.ranks), o))
        return choices | {
            "option": served or (DEFAULTS,), "eps": choices["eps"] if eps is None else (eps,), "rank": rank,
            "order": order, "narrow": (subject.contract.eps_format == FLOAT32.name,),
            "without": ("+".join(sorted(subject.domain.missing)),),
        }  # fmt: skip

    @staticmethod
    def _keeps(entry: DefinedNormalizer, option: int, fixed: Any) -> bool:
        made = constants(entry, DefinedDraw(option=option))
        return all(made[name] == value for name, value in fixed.items() if name != "eps")

    def sample(self, subject: DefinedSubject, pick: Callable[[Any], Any]) -> DefinedDraw:
        """One draw, each field chosen by `pick`."""
        some = {name: pick(options) for name, options in self.options(subject).items()}
        return replace(self.plain, seed=pick(range(1 << 16)), **some)

    def explicit_examples(self, subject: DefinedSubject) -> Iterator[DefinedDraw]:
        """The ordinary draw in each format, each set of constants on small inputs, then every other option once."""
        first, *others = ChoiceSpace.explicit_examples(self, subject)
        yield first
        if SMALL in self.values:
            options = self.options(subject)["option"]
            yield from (replace(first, seed=7 + k, option=k, values=SMALL) for k in options if k != first.option)
        if FAR in self.values:
            yield from (replace(first, seed=5, values=FAR, format=name) for name in self.options(subject)["format"])
        yield from others

    def words(self) -> str:
        """What is drawn, in one sentence."""
        return (
            f"Formats {', '.join(self.format)}; {' or '.join(map(str, self.cases))} cases; values: "
            f"{', '.join(self.values)}; each constant at its default and at other values."
        )
