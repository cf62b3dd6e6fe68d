"""The ordinary questions of every diagnosis: a fixed handful of cases on which most faults show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from normcheck.core.floats import FORMATS
from normcheck.diagnosis.evidence import Question
from normcheck.normalizers.case import Case
from normcheck.normalizers.reference import oracle
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.recipes import Draw, state, values
from normcheck.normalizers.subject import Subject

FORWARD_ONLY = 10
"""Members of a set of a training batch without a backward: an update may wait for one, or be made once more there."""


def _rows(case: Case, subject: Subject, draw: Draw) -> Case:
    """Well-conditioned sets, each with its own scale and offset; the second with a variance near eps."""
    part = oracle.partition(subject.normalizer, case)
    rng = np.random.default_rng((draw.seed, 3))
    scale = 2.0 ** rng.integers(-2, 3, (part.sets, 1)).astype(np.float64)
    if part.sets > 1 and 0.0 < case.eps < 1.0:
        scale[1] = np.sqrt(case.eps)
    offset = draw.offset * rng.uniform(0.3, 1.0, (part.sets, 1)) * rng.choice((-1.0, 1.0), (part.sets, 1))
    return case.but(x=case.format.round(part.scatter((rng.standard_normal((part.sets, part.n)) + offset) * scale)))


def _asked(subject: Subject, draw: Draw) -> Draw:
    """The draw as far as the implementation's domain allows it."""
    domain = subject.domain
    if domain.eps is not None:
        draw = replace(draw, eps=domain.eps64 if draw.format == "float64" and domain.eps64 else domain.eps)
    else:
        draw = replace(draw, eps=max(draw.eps, 256.0 * domain.least_eps))
    affine = draw.affine if draw.affine in domain.affine else domain.affine[0]
    return fit(subject.normalizer, replace(draw, affine=affine), domain.sizes)


def standard_cases(subject: Subject) -> Iterator[Question]:
    """A fixed handful of cases on which most faults show, those in the widest format first."""
    domain = subject.domain
    served = [f for f in ("float64", "float32", "bfloat16", "float16") if f in domain.formats]
    ranks, dims = domain.ranks, domain.dims
    high = max(ranks)
    plain = Draw(format=served[0], rank=ranks[0], dim=dims[0], offset=1.0)
    many, last = max(domain.normalized), dims[-1]
    draws = [
        replace(plain, n=7, sets=6, eps=1e-3, seed=1),
        replace(plain, n=12, sets=6, eps=0.1, offset=3.0, rank=high, dim=last, seed=2),
        replace(
            plain, n=18 if many > 1 else 17, sets=5, eps=1e-5, rank=max(ranks[-1], many + 1), normalized=many, seed=3
        ),
        replace(plain, n=129, sets=9, eps=1e-6, seed=4),
        replace(plain, n=66, sets=5, eps=1e-3, offset=0.1, seed=5),
        replace(plain, n=8, sets=6, eps=1e-3, affine="none", seed=6),
        replace(plain, n=9, sets=6, eps=1e-3, affine="bias", seed=7),
        replace(plain, n=9, sets=6, eps=1e-3, affine="weight", seed=8),
        replace(plain, n=1025, sets=4, eps=1e-8, seed=9),
    ]
    for draw in draws:
        yield Question(_rows(values(subject.normalizer, _asked(subject, draw)), subject, draw))
    for training in (False, True):  # a layer that remembers is asked for an evaluation before it has trained
        for seed, n in (
            ((10, 6), (11, 16), (12, FORWARD_ONLY)) if (domain.state if training else domain.evaluation) else ()
        ):
            draw = _asked(subject, replace(plain, n=n, sets=5, eps=1e-2, seed=seed, rank=(ranks[0], high)[n > 6]))
            case = state(subject.normalizer, draw, training=training).but(momentum=(0.25, 0.7)[n > 6])
            yield Question(_rows(case, subject, draw), gradient=n != FORWARD_ONLY or not training)
    yield from _rounding(subject, plain, served)


def _rounding(subject: Subject, plain: Draw, served: Sequence[str]) -> Iterator[Question]:
    """Cases on which algorithms and formats differ by what they lose."""
    far = {"float64": 1e5, "float32": 1e4}
    draws = [replace(plain, format=f, n=64, sets=8, offset=far[f], seed=20) for f in served if f in far]
    draws += [replace(plain, format="float32", n=33, seed=21)] if "float32" in served else []
    for format in served:
        if FORMATS[format].narrow:
            draws += [replace(plain, format=format, n=n, sets=4, offset=3.0, seed=n) for n in (17, 129, 1025)]
            draws.append(replace(plain, format=format, n=64, scale=9, seed=23))
            draws.append(replace(plain, format=format, n=33, offset=100.0, seed=24))
    for draw in draws:
        made = _asked(subject, draw)
        case = _rows(values(subject.normalizer, made), subject, draw)
        x = case.format.round(case.x * 2.0**draw.scale)
        yield Question(case.but(x=x, drawn={"rounding": True}))
