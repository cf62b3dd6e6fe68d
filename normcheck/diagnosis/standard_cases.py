"""The standard cases of every diagnosis: a fixed handful on which most faults show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from normcheck.core.floats import FLOAT32, FLOAT64, FORMATS
from normcheck.diagnosis.experiments import Question
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference import oracle
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.recipes import Draw, state, values
from normcheck.normalizers.sampling.space import SHARED_SETS, SHARED_WIDTHS, WIDE
from normcheck.normalizers.subject import Domain, Subject

FORWARD_ONLY = 10
"""Members of a set of a training batch without a backward: an update may wait for one, or be made once more there."""

FAR = {FLOAT64.name: 1e5, FLOAT32.name: 1e4}
"""Ratios of mean to standard deviation at which one-pass algorithms lose accuracy, by format."""


def standard_cases(subject: Subject) -> Iterator[Question]:
    """Questions on which most faults show, those in the widest format first."""
    domain = subject.domain
    served = [name for name in FORMATS if name in domain.formats]
    high = max(domain.ranks)
    plain = Draw(format=served[0], rank=domain.ranks[0], dim=domain.dims[0], offset=1.0)
    for draw in _plain(subject, plain):
        yield Question(_case(subject, draw))
    for training in (False, True):  # a layer that keeps state is first evaluated before it has trained
        for seed, n in (
            ((10, 6), (11, 16), (12, FORWARD_ONLY)) if (domain.state if training else domain.evaluation) else ()
        ):
            draw = replace(plain, n=n, sets=5, eps=1e-2, seed=seed, rank=(domain.ranks[0], high)[n > 6])
            case = _case(subject, draw, partial(state, training=training)).but(momentum=(0.25, 0.7)[n > 6])
            yield Question(case, gradient=n != FORWARD_ONLY or not training)
    for draw in _rounding(domain, plain, served):
        case = _case(subject, draw)
        x = case.format.round(case.x * 2.0**draw.scale)
        yield Question(case.but(x=x, drawn={"rounding": True}))


def unseen_cases(subject: Subject) -> Iterator[Case]:
    """Three contents of one shape, with one eps, that no check and no standard case has."""
    domain = subject.domain
    served = [name for name in FORMATS if name in domain.formats]
    draw = Draw(n=23, sets=11, format=served[0], rank=domain.ranks[0], dim=domain.dims[0], eps=0.0123)
    yield from (_case(subject, replace(draw, seed=seed)) for seed in (31, 32, 33))


def _plain(subject: Subject, plain: Draw) -> list[Draw]:
    """Training in the widest format: small and large sets and eps, every rank, weight and bias or without them."""
    domain = subject.domain
    ranks, many = domain.ranks, max(domain.normalized)
    last = domain.dims[-1]
    return [
        replace(plain, n=7, sets=6, eps=1e-3, seed=1),
        replace(plain, n=12, sets=6, eps=0.1, offset=3.0, rank=max(ranks), dim=last, seed=2),
        replace(
            plain, n=18 if many > 1 else 17, sets=5, eps=1e-5, rank=max(ranks[-1], many + 1), normalized=many, seed=3
        ),
        replace(plain, n=129, sets=9, eps=1e-6, seed=4),
        _shared(domain, replace(plain, n=66, sets=5, eps=1e-3, offset=0.1, seed=5)),
        replace(plain, n=8, sets=6, eps=1e-3, affine="none", seed=6),
        _shared(domain, replace(plain, n=9, sets=6, eps=1e-3, affine="bias", seed=7)),
        _shared(domain, replace(plain, n=9, sets=6, eps=1e-3, affine="weight", seed=8)),
        replace(plain, n=1025, sets=4, eps=1e-8, seed=9),
    ]


def _rounding(domain: Domain, plain: Draw, served: Sequence[str]) -> Iterator[Draw]:
    """Draws on which algorithms and formats differ by the accuracy that they lose.

    Those far from 0 keep their sizes: how much is lost there, and in how many sets, tells algorithms apart.
    """
    for f in served:
        if f in FAR:
            yield replace(plain, format=f, n=64, sets=8, offset=FAR[f], seed=20)
    if FLOAT32.name in served:
        yield _shared(domain, replace(plain, format=FLOAT32.name, n=33, seed=21))
    for format in served:
        if FORMATS[format].narrow:
            for n in (17, 129):
                yield _shared(domain, replace(plain, format=format, n=n, sets=4, offset=3.0, seed=n))
            yield replace(plain, format=format, n=1025, sets=4, offset=3.0, seed=1025)
            yield _shared(domain, replace(plain, format=format, n=64, scale=9, seed=23))
            yield replace(plain, format=format, n=33, offset=100.0, seed=24)


def _shared(domain: Domain, draw: Draw) -> Draw:
    """A draw whose exact sizes do not matter, with sizes that checks draw where each new shape costs a compilation."""
    widths = [n for n in (SHARED_WIDTHS[0], WIDE) if n not in domain.refused]
    if not (domain.compiles_per_shape and widths):
        return draw
    return replace(draw, n=min(widths, key=lambda n: abs(math.log(n / draw.n))), sets=SHARED_SETS[0])


def _case(subject: Subject, draw: Draw, recipe: Callable[[Normalizer, Draw], Case] = values) -> Case:
    """The case of a draw in the domain, of well-conditioned sets with a scale and offset each.

    The second set has a variance near eps.
    """
    case = recipe(subject.normalizer, adapted(subject, draw))
    part = oracle.partition(subject.normalizer, case)
    rng = np.random.default_rng((draw.seed, 3))
    scale = 2.0 ** rng.integers(-2, 3, (part.sets, 1)).astype(np.float64)
    if part.sets > 1 and 0.0 < case.eps < 1.0:
        scale[1] = np.sqrt(case.eps)
    offset = draw.offset * rng.uniform(0.3, 1.0, (part.sets, 1)) * rng.choice((-1.0, 1.0), (part.sets, 1))
    return case.but(x=case.format.round(part.scatter((rng.standard_normal((part.sets, part.n)) + offset) * scale)))


def adapted(subject: Subject, draw: Draw) -> Draw:
    """The draw as far as the domain of the implementation allows it."""
    domain = subject.domain
    if domain.eps is not None:
        draw = replace(draw, eps=domain.eps64 if draw.format == FLOAT64.name and domain.eps64 else domain.eps)
    else:
        draw = replace(draw, eps=min(max(draw.eps, 256.0 * domain.least_eps), domain.most_eps))
    affine = draw.affine if draw.affine in domain.affine else domain.affine[0]
    return fit(subject.normalizer, replace(draw, affine=affine), domain.sizes)
