"""A layer as it is constructed: the values that it starts with, and the options that it was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import FLOAT32
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds.exactness import NOTHING
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, small, state
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Constructed, Subject

CONSTRUCTION = "construction"
"""Name of the check."""

OPTIONS = {"both": (1, 1), "weight": (1, 0), "bias": (0, 1), "none": (0, 0)}
"""Which of weight and bias a layer is asked to have."""

LAW = "a new layer is the identity after normalization, and has what it was asked for"


def _case(normalizer: Normalizer, draw: Draw) -> Case:
    """A case with all parameters, whatever the layer takes."""
    draw = replace(draw, affine="both")
    return state(normalizer, draw, training=True) if normalizer.state else small(normalizer, draw)


def constructed(subject: Subject, case: Case) -> Comparison:
    """Compare a new layer with what torch's own layers document."""
    assert subject.constructed is not None, "the check lacks it"
    found: list[Comparison] = []
    for name in subject.constructed(case).unregistered:
        detail = f"{name!r} is an attribute: no optimizer trains it, state_dict loses it, and .to leaves it behind"
        found.append(_violated("weight and bias are parameters or buffers", detail))
    for affine, (weight, bias) in OPTIONS.items():
        if affine in subject.domain.affine:
            here = case.but(weight=case.weight if weight else None, bias=case.bias if bias else None)
            found += _compared(subject, here, subject.constructed(here))
    return worst(*found) if found else Comparison(LAW, 0, 0.0)


def _compared(subject: Subject, case: Case, new: Constructed) -> Iterator[Comparison]:
    one = 0.0 if subject.contract.weight == "1+w" else 1.0
    starts = (("weight", one), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0))
    for role, start in starts if subject.contract.initial == "documented" else ():
        value = getattr(new, role)
        if value is not None:
            law = f"the {role.replace('_', ' ')} of a new layer is {start:g}"
            yield differ(law, value, np.full(value.shape, start), NOTHING)
    for role in ("weight", "bias"):
        if getattr(case, role) is None and getattr(new, role) is not None:
            yield _violated(f"a layer made without {role} has none", f"it has a parameter for the {role}")


def _violated(law: str, detail: str) -> Comparison:
    return Comparison(law, 1, float("inf"), 1.0, 0.0, detail=detail)


def _constructs(subject: Subject) -> str:
    return "" if subject.constructed is not None else "it is not constructed: it is no class of layers"


CHECKS = (
    Check(CONSTRUCTION, LAW, "google-research/timesfm#481",
          constructed, NormalizerSpace(_case, formats=(FLOAT32,), widths=(4,), sets=(4,), offsets=False, once=True),
          lacks=_constructs, cost=float("inf")),
)  # fmt: skip
