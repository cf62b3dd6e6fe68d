"""A layer as it is constructed: the values that it starts with, and the options that it was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import FLOAT32
from normcheck.core.result import CheckWarning, Comparison, worst
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
    new = subject.constructed(case)
    names = ", ".join(map(repr, new.unregistered))
    detail = f"an attribute ({names}): no optimizer trains it, state_dict loses it, and .to leaves it behind"
    found.append(_held("weight and bias are parameters or buffers", detail, holds=not names))
    buffers = ", ".join(map(repr, new.unfilled))
    detail = f"{buffers}: after to_empty(), as from the meta device, it is whatever the memory held"
    found.append(_held("reset_parameters() or a loaded state fills all that a layer holds", detail, holds=not buffers))
    for affine, (weight, bias) in OPTIONS.items():
        if affine in subject.domain.affine:
            here = case.but(weight=case.weight if weight else None, bias=case.bias if bias else None)
            found += _compared(subject, here, subject.constructed(here))
    checked = subject.contract.initial == "documented"
    warnings = _untrained(new.untrained) if checked else ()
    return replace(worst(*found), warnings=warnings, notes=_notes(new.left_behind))


def _notes(names: Sequence[str]) -> dict[str, str]:
    """What is said of arrays that are attributes alone."""
    some = ", ".join(map(repr, names))
    text = f"{some} is a tensor, but no buffer: made on the meta device, or moved to another one, it stays where it was"
    return {"attributes": text} if names else {}


def _untrained(names: Sequence[str]) -> tuple[CheckWarning, ...]:
    """What is said of a weight or a bias that is a buffer."""
    some = ", ".join(map(repr, names))
    text = f"no optimizer trains a buffer ({some}): make it a parameter, or declare initial=any if it is frozen"
    return (CheckWarning("not-trained", text, "initial=any"),) if names else ()


def _compared(subject: Subject, case: Case, new: Constructed) -> Iterator[Comparison]:
    one = 0.0 if subject.contract.weight == "1+w" else 1.0
    starts = (("weight", one), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0))
    for role, start in starts if subject.contract.initial == "documented" else ():
        value = getattr(new, role)
        if value is not None:
            law = f"the {role.replace('_', ' ')} of a new layer is {start:g}"
            yield differ(law, value, np.full(value.shape, start), NOTHING)
    if subject.domain.keeps_parameters:
        return  # it was not asked for fewer
    normalizer = subject.normalizer
    for role, has in (("weight", normalizer.weight), ("bias", normalizer.bias)):
        if has and getattr(case, role) is None:
            law, detail = f"a layer made without {role} has none", f"it has a parameter for the {role}"
            yield _held(law, detail, holds=getattr(new, role) is None)


def _held(law: str, detail: str, *, holds: bool) -> Comparison:
    """Whether a law holds that compares no numbers; detail: what is said where it does not."""
    return Comparison(law, 1, 0.0) if holds else Comparison(law, 1, float("inf"), 1.0, 0.0, detail=detail)


def _constructs(subject: Subject) -> str:
    return "" if subject.constructed is not None else "it is not constructed: it is no class of layers"


CHECKS = (
    Check(CONSTRUCTION, LAW, "google-research/timesfm#481",
          constructed, NormalizerSpace(_case, formats=(FLOAT32,), widths=(4,), sets=(4,), offsets=False, once=True),
          lacks=_constructs, cost=float("inf")),
)  # fmt: skip
