"""What is to be declared of a callable of a known kind, beside the conventions that its output shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError
from normcheck.core.floats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from normcheck.frameworks import own_shapes
from normcheck.frameworks.binder import subject as bound
from normcheck.identify import measure, reference_fit
from normcheck.normalizers.bounds.contracted import demanded
from normcheck.normalizers.checks import construction
from normcheck.normalizers.subject import Subject


def shapes(subject: Subject) -> dict[str, str]:
    """That some ranks or numbers of normalized axes are left out, if it computes its kind on others only."""
    return {} if own_shapes.restricted(subject) is subject.domain else {"shapes": "some"}


def initial(subject: Subject) -> dict[str, str]:
    """That a new layer may start with other values than documented, if it does: a model may fill what it constructs."""
    (check,) = construction.CHECKS
    if check.lacks(subject):
        return {}
    case = check.space.recipe(subject.normalizer, next(check.space.explicit_examples(subject)))
    free = replace(subject, contract=replace(subject.contract, initial="any"))
    try:
        differs = not construction.constructed(subject, case).holds and construction.constructed(free, case).holds
    except CallError:
        return {}
    return {"initial": "any"} if differs else {}


def formats(subject: Subject) -> dict[str, str]:
    """The formats to declare, if float64 is accepted but computed in a narrower format."""
    served = subject.domain.formats
    wide = FLOAT64.name
    if {wide, FLOAT32.name} <= set(served) and reference_fit.accuracy(subject, wide, offset=1.0) == "none":
        return {"formats": ",".join(f for f in served if f != wide)}
    return {}


def accuracy(subject: Subject) -> dict[str, str]:
    """The accuracy class to declare, if it reaches less than is demanded of that kind by default."""
    for format, offset in ((FLOAT32.name, 1e3), (BFLOAT16.name, 10.0), (FLOAT16.name, 10.0)):
        if format in subject.domain.formats:
            case = measure.plain(subject, format)
            reached = reference_fit.accuracy(subject, format, offset=offset)
            if reached not in ("none", "sound", demanded(subject, case).name):
                return {"accuracy": reached}
    return {}


def eps(subject: Subject, loaded: Any, found: Mapping[str, str]) -> dict[str, str]:
    """The eps to declare, if it is fixed and binding does not find it."""
    own = subject.domain.eps
    if not own:
        return {}
    again = bound(Implementation(subject.normalizer.name, loaded, found), subject.normalizer).domain.eps
    return {} if again is not None and abs(again - own) < 1e-3 * own else {"eps": repr(own)}
