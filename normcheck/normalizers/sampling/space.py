"""The space of draws of a check, and how a draw is chosen, by hypothesis or by a plain random generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import ClassVar

from normcheck.core.contract import Contract
from normcheck.core.floats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, FORMATS, Format
from normcheck.core.layouts import NAMES, applies, of_parameters
from normcheck.core.space import Pick
from normcheck.normalizers import programs
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling import input_shapes
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.recipes import SMALL, WIDTHS, Draw, shape
from normcheck.normalizers.subject import Domain, Subject

OFFSETS = {
    FLOAT64.name: (1.0, 10.0, 1e3, 1e6, 1e9),
    FLOAT32.name: (1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6),
    BFLOAT16.name: (1.0, 3.0, 10.0, 100.0),
    FLOAT16.name: (1.0, 3.0, 10.0, 100.0),
}
"""Largest ratios of mean to standard deviation, by format, at which it still resolves the deviation."""

EPS = (1e-5, 1e-3, 1e-6, 0.1, 1e-8)
"""Values of eps; the first is the plain one."""


@dataclass(frozen=True, slots=True)
class NormalizerSpace:
    """The space of a check of normalizers, a `core.space.CaseSpace`: the values of each choice, the plain one first."""

    entries: ClassVar[type] = Normalizer
    plain: ClassVar[Draw] = Draw()

    recipe: Callable[[Normalizer, Draw], Case]
    formats: tuple[Format, ...] = tuple(FORMATS.values())
    widths: tuple[int, ...] = SMALL  # members of a set
    edges: tuple[int, ...] = ()  # numbers of members that are always tried, once each
    sets: tuple[int, ...] = (6, 4, 5, 7, 8, 12)
    offsets: bool = True  # the ratio of mean to deviation is drawn from `OFFSETS`; False: it is 1
    eps: tuple[float, ...] = EPS
    affine: tuple[str, ...] = ("both", "weight", "none")
    dy: tuple[tuple[str, str], ...] = (("contiguous", "random"),)  # layout and kind of the cotangent
    deltas: tuple[float, ...] = (2.0,)  # factors of a transform
    scales: tuple[int, ...] = (0,)  # exponents of two that scale the input
    worst_offset: tuple[tuple[Format, float], ...] = ((FLOAT64, 1e5), (FLOAT32, 1e3))  # always tried
    grid: bool = False  # each of the edges is tried in every format, and nothing else
    once: bool = False  # only one draw is always tried, instead of one for each format and rank
    together: bool = False  # layouts of all arrays are drawn, instead of that of the cotangent
    operations: tuple[str, ...] = ()  # from which programs are drawn
    programs: tuple[tuple[str, ...], ...] = ()  # programs that are always tried
    given_shapes: bool = True  # a case can have the input shape of a contract; False: the check makes its own

    def unsupported_reason(self, subject: Subject) -> str:
        """Why no draw suits a subject; empty if one does."""
        if not formats(self, subject.domain):
            return f"serves none of {', '.join(f.name for f in self.formats)}"
        if subject.domain.training:
            return ""
        first = next(self.explicit_examples(subject))
        return "has no training mode" if self.recipe(subject.normalizer, first).training else ""

    def explicit_examples(self, subject: Subject) -> Iterator[Draw]:
        """The draws that are always tried, the decisive ones first."""
        space, domain = _shared(self, subject.domain)
        return edges(space, subject.normalizer, domain)

    def sample(self, subject: Subject, pick: Pick) -> Draw:
        """One draw."""
        space, domain = _shared(replace(self, edges=()), subject.domain)
        return choose(space, subject.normalizer, domain, pick)

    def adapt(self, subject: Subject, draw: Draw) -> Draw:
        """A draw from elsewhere, changed to the fixed sizes of this subject, and without an input shape beside them."""
        domain = subject.domain
        if draw.input_shape and input_shapes.misfit(subject.normalizer, domain, draw.input_shape):
            draw = replace(draw, input_shape=(), rank=domain.ranks[0])
        return fit(subject.normalizer, draw, subject.domain.sizes)

    def words(self) -> str:
        """What is drawn, in one sentence."""
        names = ", ".join(format.name for format in self.formats)
        drawn = f"Formats {names}; {min(self.widths)} to {max(self.widths)} members of a set"
        return f"{drawn}; always tried: {len(self.edges)} threshold widths." if self.edges else f"{drawn}."


SHARED_WIDTHS, SHARED_SETS, WIDE = (8, 4, 6), (6, 4), 64
"""Members of a set and numbers of sets for implementations that are compiled for each shape: the same in all checks."""


def _shared(space: NormalizerSpace, domain: Domain) -> tuple[NormalizerSpace, Domain]:
    """The space and the domain with shapes that other checks draw too, if each new shape costs a compilation.

    Spaces with threshold widths keep them, each in one format, and the other ranks; random draws have neither.
    """
    if not domain.compiles_per_shape:
        return space, domain
    widths = [n for n in SHARED_WIDTHS if n in space.widths and n not in domain.refused][:1] or list(space.widths)
    if WIDE in space.widths and WIDE not in domain.refused:
        widths.append(WIDE)
    sets = [n for n in SHARED_SETS if n in space.sets][:1] or list(space.sets)
    affine = [a for a in space.affine if a in domain.affine][:1] or list(domain.affine[:1])
    few = replace(space, widths=tuple(widths), sets=tuple(sets), affine=tuple(affine))
    if space.edges:
        return few, domain
    return few, replace(domain, ranks=domain.ranks[:1], normalized=domain.normalized[:1])


def formats(space: NormalizerSpace, domain: Domain) -> tuple[str, ...]:
    """Names of the formats of a space that an implementation serves."""
    return tuple(f.name for f in space.formats if f.name in domain.formats)


def choose(space: NormalizerSpace, normalizer: Normalizer, domain: Domain, pick: Pick) -> Draw:
    """One draw from a space, within what an implementation accepts."""
    format = pick(formats(space, domain))
    affine = [a for a in space.affine if a in domain.affine] or list(domain.affine)
    normalized = pick(domain.normalized)
    ranks = [r for r in domain.ranks if r > normalized]
    dy, dy_kind = pick(space.dy)
    rank = pick(ranks)
    draw = Draw(
        seed=pick(range(1 << 16)),
        n=pick([n for n in space.widths if n not in domain.refused] or space.widths),
        sets=pick(space.sets),
        rank=rank,
        normalized=normalized,
        format=format,
        offset=pick(OFFSETS[format]) if space.offsets else 1.0,
        eps=_eps(space, domain, format, pick),
        affine=pick(affine),
        dy=dy,
        dy_kind=dy_kind,
        dim=pick([d for d in domain.dims if d is None or d < rank]),
        delta=pick(space.deltas),
        scale=pick(space.scales),
        program=_program(space, domain, pick),
    )
    draw = fit(normalizer, draw, domain.sizes)
    return replace(draw, layouts=_layouts(normalizer, domain, draw, pick)) if space.together else draw


LONGEST = 8
"""Most operations of a program that is drawn."""


def _possible(normalizer: Normalizer, domain: Domain, draw: Draw) -> tuple[list[str], list[str], list[str]]:
    """Layouts of input, parameters and cotangent that their shapes allow; parameters of a module stay contiguous."""
    size, groups = shape(normalizer, draw)
    parameter = normalizer.sets.over(size, groups=groups, normalized=draw.normalized, dim=draw.dim).parameter
    all_of_them = (NAMES[0], *of_parameters(domain.layouts))
    own = all_of_them if domain.own_parameters else NAMES[:1]
    return (
        [name for name in (NAMES[0], *domain.layouts) if applies(size, name)],
        [name for name in own if applies(parameter, name)],
        [name for name in all_of_them if applies(size, name)],
    )


def _layouts(normalizer: Normalizer, domain: Domain, draw: Draw, pick: Pick) -> tuple[str, ...]:
    """Layouts of input, weight, bias and cotangent."""
    x, own, dy = _possible(normalizer, domain, draw)
    return pick(x), pick(own), pick(own), pick(dy)


def _together(normalizer: Normalizer, domain: Domain, some: Iterable[Draw]) -> Iterator[Draw]:
    """The draws with every layout of the input; the cotangent has by turns the same layout and another.

    If both are the same, the parameters have another one: kernels choose their path by input and cotangent only.
    """
    for i, draw in enumerate(some):
        x, own, dy = _possible(normalizer, domain, draw)
        for k, name in enumerate(x):
            same = (i + k) % 2 == 0
            other = dy[(i + 2 * k + 1) % len(dy)]
            weight, bias = (own[-1], own[-1]) if same else (own[k % len(own)], own[(i + k) % len(own)])
            yield replace(draw, layouts=(name, weight, bias, name if same else other))


def _program(space: NormalizerSpace, domain: Domain, pick: Pick) -> tuple[str, ...]:
    """A random program of the operations that the space and the implementation have."""
    operations = tuple(name for name in space.operations if name in domain.operations)
    return tuple(pick(operations) for _ in range(pick(range(1, LONGEST + 1)))) if operations else ()


def _programs(space: NormalizerSpace, domain: Domain, some: Iterable[Draw]) -> Iterator[Draw]:
    """The draws with each program that is always tried, without operations that the implementation does not offer."""
    for draw, (seed, program) in product(some, enumerate(space.programs)):
        offered = tuple(name for name in program if name in domain.operations)
        if offered:
            yield replace(draw, program=offered, seed=seed)


def _eps(space: NormalizerSpace, domain: Domain, format: str, pick: Pick) -> float:
    """An eps that the format can hold: a statistic kept in float16 loses what is below its subnormal range.

    It is not near the smallest eps that the implementation takes, because some laws also use a part of it.
    """
    if domain.eps is not None:
        return domain.eps64 if format == FLOAT64.name and domain.eps64 is not None else domain.eps
    least = max(256.0 * domain.least_eps, 1e-5 if format == FLOAT16.name else 0.0)
    return float(pick([e for e in space.eps if least <= e <= domain.most_eps] or [min(max(EPS), domain.most_eps)]))


def edges(space: NormalizerSpace, normalizer: Normalizer, domain: Domain) -> Iterator[Draw]:
    """The draws that are always tried: every format, every rank, widths at thresholds, the decisive offset."""
    first: Pick = lambda options: options[0]
    plain = choose(space, normalizer, domain, first)
    given = _given(space, normalizer, domain, plain, first)
    if space.grid:
        return chain(_grid(space, normalizer, domain, plain, first), given)
    found = chain((plain,) if space.once else _edges(space, normalizer, domain, plain, first), given)
    return _together(normalizer, domain, found) if space.together else found


def _given(space: NormalizerSpace, normalizer: Normalizer, domain: Domain, plain: Draw, first: Pick) -> Iterator[Draw]:
    """Each input shape of the contract: in every format where widths are what is checked, else in one of them."""
    if not space.given_shapes or not domain.input_shapes:
        return iter(())
    some = [replace(plain, format=f, eps=_eps(space, domain, f, first)) for f in formats(space, domain)]
    with_programs = next(_programs(space, domain, some), None)
    if with_programs is not None:
        some = [replace(draw, program=with_programs.program) for draw in some]
    wide = bool(space.edges) and not domain.compiles_per_shape
    return input_shapes.draws(normalizer, domain, some, wide=wide)


def _grid(space: NormalizerSpace, normalizer: Normalizer, domain: Domain, plain: Draw, first: Pick) -> Iterator[Draw]:
    for n, format in product(space.edges, formats(space, domain)):
        if n not in domain.refused:
            draw = replace(plain, n=n, format=format, eps=_eps(space, domain, format, first), seed=n)
            yield fit(normalizer, draw, domain.sizes)


def _edges(space: NormalizerSpace, normalizer: Normalizer, domain: Domain, plain: Draw, first: Pick) -> Iterator[Draw]:
    served = {f: replace(plain, format=f, eps=_eps(space, domain, f, first)) for f in formats(space, domain)}
    wide = WIDE if WIDE not in domain.refused else plain.n
    sets = plain.sets if domain.compiles_per_shape else 8
    for draw in served.values():
        for i, (dy, dy_kind) in enumerate(space.dy):
            yield replace(draw, dy=dy, dy_kind=dy_kind, seed=i)
    for format, offset in space.worst_offset if space.offsets else ():
        if format.name in served:
            yield fit(normalizer, replace(served[format.name], offset=offset, n=wide, sets=sets, seed=1), domain.sizes)
    if max(space.scales) > 0 and FLOAT16.name in served:  # squares beyond the format's range
        for seed in (1, 2):
            large = replace(served[FLOAT16.name], n=wide, sets=sets, seed=seed, scale=max(space.scales))
            yield fit(normalizer, large, domain.sizes)
    yield from _programs(space, domain, served.values())
    for rank in domain.ranks[1:]:
        yield fit(normalizer, replace(plain, rank=rank, n=12 if 12 not in domain.refused else plain.n), domain.sizes)
    if domain.sizes is None or domain.sizes.units is None:
        order = tuple(served)
        for i, n in enumerate(n for n in space.edges if n not in domain.refused):
            draw = served[order[i % len(order)]]
            rank = domain.ranks[i % len(domain.ranks)] if n < 4096 else domain.ranks[0]
            sets = 6 if n < 1000 else 4
            yield fit(normalizer, replace(draw, n=n, sets=sets, rank=rank, offset=3.0, seed=n), domain.sizes)


ALL_WIDTHS = WIDTHS


def narrowed(domain: Domain, contract: Contract) -> Domain:
    """The domain restricted to the formats that the contract claims; no program moves a layer to another one."""
    formats = tuple(f for f in domain.formats if f in contract.served and f in FORMATS)
    operations = tuple(programs.offered(domain.operations, formats, evaluation=domain.evaluation))
    return replace(domain, formats=formats, operations=operations)
