"""The series that checks of recurrent nets draw: a draw is a few integers and words, from which the case follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from normcheck.core.floats import FLOAT64, FORMATS, WIDE_NAMES, Array
from normcheck.core.space import Pick
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.entry import INPUT, Recurrent
from normcheck.families.recurrent.subject import RecurrentSubject


@dataclass(frozen=True, slots=True)
class RecurrentDraw:
    """The choices of one case; everything else follows from the seed."""

    seed: int = 0
    steps: int = 4
    cases: int = 5
    inputs: int = 3
    units: int = 4
    format: str = FLOAT64.name
    eps: float = 1e-5
    offset: float = 1.0  # largest mean of an input over its deviation
    training: bool = True
    beyond: int = 0  # steps for which no statistics are kept; below 0 there are more statistics than steps
    padded: bool = False  # cases have lengths of their own
    states: bool = True  # a first state is given
    gain: float = 0.0  # of all norms; 0: each entry its own
    batch_first: bool = False
    delta: float = 2.0
    fixed: tuple[str, ...] | None = None  # roles of the parameters that the net has; None: those of the entry
    momentum: float | None = None  # of the running statistics, if it is fixed


def vectors(rng: np.random.Generator, entry: Recurrent, draw: RecurrentDraw) -> dict[str, Array]:
    """Parameters that differ in every entry, of both signs, away from 0 and 1."""
    out: dict[str, Array] = {}
    rows = entry.gates * draw.units
    for role in (*entry.parameters, "bias_hh"):
        kind = role.partition("_")[0]
        width = (entry.width(role, draw.units),)
        if kind == "weight":
            columns = draw.inputs if role == f"weight_{INPUT}" else draw.units
            out[role] = rng.standard_normal((rows, columns)) / np.sqrt(columns) + 0.1
        elif kind == "gain":
            out[role] = rng.uniform(0.4, 1.6, width) * rng.choice((-1.0, 1.0, 1.0), width)
            if draw.gain:
                out[role] = np.full(width, draw.gain)
        else:
            out[role] = 0.5 * rng.standard_normal(width)
    roles = entry.parameters if draw.fixed is None else draw.fixed
    return {role: value for role, value in out.items() if role in roles}


def recurrent_case(entry: Recurrent, draw: RecurrentDraw) -> RecurrentCase:
    """The case of a draw, with cotangents, and with running statistics if the entry keeps them."""
    rng = np.random.default_rng(draw.seed)
    fmt = FORMATS[draw.format]
    size = (draw.steps, draw.cases, draw.inputs)
    x = rng.standard_normal(size) + draw.offset * rng.uniform(-1.0, 1.0, draw.inputs)
    state = (draw.cases, draw.units)
    parameters = {role: fmt.round(value) for role, value in vectors(rng, entry, draw).items()}
    h, c = fmt.round(0.5 * rng.standard_normal(state)), fmt.round(rng.standard_normal(state))
    dy = fmt.round(rng.standard_normal((draw.steps, *state)) + 0.5)
    dh, dc = fmt.round(rng.standard_normal(state)), fmt.round(rng.standard_normal(state))
    remembers = entry.cell.remembers
    case = RecurrentCase(
        x=fmt.round(x),
        parameters=parameters,
        eps=draw.eps,
        format=fmt,
        h=h if draw.states else None,
        c=c if draw.states and remembers else None,
        lengths=_lengths(rng, draw) if draw.padded else None,
        training=draw.training,
        batch_first=draw.batch_first,
        dh=dh,
        dc=dc if remembers else None,
        drawn={"seed": draw.seed},
    )
    case = case.but(dy=dy * case.live[:, :, None])
    if not entry.state:
        return case
    case = with_statistics(entry, case, rng, max(1, draw.steps - draw.beyond))
    return case if draw.momentum is None else case.but(momentum=draw.momentum)


def _lengths(rng: np.random.Generator, draw: RecurrentDraw) -> Array:
    """Steps of each case; two have all, so that every step has a variance."""
    out = rng.integers(1, draw.steps + 1, draw.cases)
    out[rng.permutation(draw.cases)[:2]] = draw.steps
    return out


def with_statistics(entry: Recurrent, case: RecurrentCase, rng: np.random.Generator, slots: int) -> RecurrentCase:
    """The case with running statistics, none of them 0 or 1 as in a new net."""
    kept = 1 if entry.over_time else slots
    shapes = {place: (kept, entry.width(f"gain_{place}", case.units)) for place in entry.places}
    means = {place: case.format.round(0.3 * rng.standard_normal(size)) for place, size in shapes.items()}
    variances = {place: case.format.round(rng.uniform(0.3, 2.0, size)) for place, size in shapes.items()}
    return case.but(means=means, variances=variances, momentum=float(rng.choice((0.1, 0.25, 0.7))))


@dataclass(frozen=True, slots=True)
class RecurrentSpace:
    """The choices of a check of recurrent nets; the first of each is the plain one."""

    entries: ClassVar[type] = Recurrent
    plain: ClassVar[RecurrentDraw] = RecurrentDraw()

    recipe: Callable[[Recurrent, RecurrentDraw], RecurrentCase] = recurrent_case
    format: tuple[str, ...] = WIDE_NAMES
    steps: tuple[int, ...] = (4, 1, 2, 3, 6, 9)
    cases: tuple[int, ...] = (5, 3, 4, 8, 17)
    inputs: tuple[int, ...] = (3, 1, 2, 7)
    units: tuple[int, ...] = (4, 2, 3, 5, 9)
    eps: tuple[float, ...] = (1e-5, 1e-3)
    offset: tuple[float, ...] = (1.0, 10.0)
    training: tuple[bool, ...] = (True,)
    beyond: tuple[int, ...] = (0,)
    padded: tuple[bool, ...] = (False,)
    states: tuple[bool, ...] = (True,)
    gain: tuple[float, ...] = (0.0,)
    batch_first: tuple[bool, ...] = (False,)
    delta: tuple[float, ...] = (2.0,)
    plain_only: bool = False  # the plain draw is the only explicit example

    def _options(self, subject: RecurrentSubject) -> dict[str, tuple[Any, ...]]:
        """The choices that the subject serves, by name."""
        domain = subject.domain
        out = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("recipe", "plain_only")}
        out["format"] = tuple(name for name in self.format if name in domain.formats)
        served = {"padded": domain.lengths, "batch_first": domain.batch_first}
        for name, is_served in served.items():
            out[name] = out[name] if is_served else tuple(o for o in out[name] if not o)
        out["states"] = out["states"] if domain.states else (False,)
        if domain.noise and True in out["training"]:
            out["states"] = tuple(given for given in out["states"] if given)
        out["eps"] = out["eps"] if domain.eps is None else (domain.eps,)
        return out

    def unsupported_reason(self, subject: RecurrentSubject) -> str:
        """Why no draw suits a subject; empty if one does."""
        empty = [name for name, some in self._options(subject).items() if not some]
        return f"offers no {empty[0].replace('_', ' ')} that is asked for" if empty else ""

    def adapt(self, subject: RecurrentSubject, draw: RecurrentDraw) -> RecurrentDraw:
        """The draw with the parameters and the momentum that the subject cannot change."""
        return replace(draw, fixed=subject.domain.roles, momentum=subject.domain.momentum)

    def sample(self, subject: RecurrentSubject, pick: Pick) -> RecurrentDraw:
        """One draw."""
        some = {name: pick(options) for name, options in self._options(subject).items()}
        return self.adapt(subject, RecurrentDraw(seed=pick(range(1 << 16)), **some))

    def explicit_examples(self, subject: RecurrentSubject) -> Iterator[RecurrentDraw]:
        """The plain draw in each format, then every other choice once, several together, in turn with the formats."""
        options = self._options(subject)
        plain = self.adapt(subject, RecurrentDraw(**{name: some[0] for name, some in options.items()}))
        formats = options.pop("format")
        yield from (replace(plain, format=format) for format in formats)
        most = max(len(some) for some in options.values())
        for i in range(1, 1 if self.plain_only else most):
            chosen = {name: some[(i - 1) % (len(some) - 1) + 1] for name, some in options.items() if len(some) > 1}
            yield replace(plain, seed=i, format=formats[i % len(formats)], **chosen)

    def words(self) -> str:
        """What is drawn, in one sentence."""
        return (
            f"Formats {', '.join(self.format)}; {min(self.steps)} to {max(self.steps)} steps, "
            f"{min(self.cases)} to {max(self.cases)} cases, {min(self.units)} to {max(self.units)} units."
        )
