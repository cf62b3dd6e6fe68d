"""A module whose weight was replaced by a direction v and a length g: initialized, trained, loaded, removed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.errors import CallError
from normcheck.core.floats import BFLOAT16, FLOAT32, FLOAT64
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds import laws
from normcheck.normalizers.bounds.contracted import forward_bound
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import output_within, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject, Transformed

DIRECTION, LENGTH, WEIGHT = "direction", "length", "weight"
"""Names of the parameters that an optimizer gets, as `Transformed.trained` returns them."""


def _transformed(subject: Subject, case: Case) -> Transformed:
    """A transformed module whose weight was the input of the case. Raises `CallError` if there is none."""
    if subject.transformed is None:
        raise CallError(f"{subject.name} transforms no module")
    return subject.transformed(case)


def _initial(subject: Subject, case: Case) -> Truth:
    """The reference for a module whose weight was v: its length is the norm of v, so that w = v."""
    part = truth_of(subject, case).partition
    norms = np.sqrt(np.square(part.gather(case.x)).sum(axis=1)).reshape(part.parameter)
    return truth_of(subject, case.but(weight=norms))


def keeps_the_weight(subject: Subject, case: Case) -> Comparison:
    """At initialization g is the norm of the weight, so the module computes the same function as before.

    w has two bounds: its own, and that of g, which comes from the same sums.
    """
    truth, made = _initial(subject, case), _transformed(subject, case)
    assert truth.weight is not None, "the normalizer acts on weights"
    allowed = laws.two_answers(forward_bound(subject, truth))
    found = differ("w, once transformed, is the weight that was there", made.weight(), case.x, allowed)
    got = made.trained().get(LENGTH)
    if got is None or got.size != truth.weight.size:
        return found
    law = "g begins as the norm of the weight"
    return worst(found, differ(law, got.reshape(truth.weight.shape), truth.weight, laws.length(truth, allowed)))


def _held(made: Transformed, case: Case) -> Case:
    """The case with the current v and g of the module."""
    assert case.weight is not None, "the normalizer acts on weights"
    trained = made.trained()
    return case.but(x=trained[DIRECTION], weight=trained[LENGTH].reshape(case.weight.shape))


def follows_a_step(subject: Subject, case: Case) -> Comparison:
    """After a step of an optimizer the next forward uses the weight of the new v and g."""
    made = _transformed(subject, case)
    made.step(case)
    return output_within(subject, truth_of(subject, _held(made, case)), made.weight(), "after a step")


def loads_a_state(subject: Subject, case: Case) -> Comparison:
    """After loading the state of another module, the weight is that of the other."""
    made = _transformed(subject, case)
    made.weight()
    other = case.but(x=case.format.round(1.5 - 0.5 * case.x))
    made.load(other)
    return output_within(subject, truth_of(subject, other), made.weight(), "after another's state was loaded")


def removal(subject: Subject, case: Case) -> Comparison:
    """Removal leaves the weight unchanged, as the only parameter. A step before it makes w differ from v."""
    made = _transformed(subject, case)
    made.step(case)
    before, truth = made.weight(), truth_of(subject, _held(made, case))
    law = "w after removal is w before it"
    why = made.remove()
    if why:
        return Comparison(law, 0, 0.0, refused={"removal of the transform": why})
    return worst(differ(law, made.weight(), before, forward_bound(subject, truth)), _only(made, (WEIGHT,), "removal"))


def _only(made: Transformed, names: tuple[str, ...], after: str) -> Comparison:
    """An optimizer gets these parameters and no others."""
    found = made.trained()
    wrong = [f"lacks the {name}" for name in names if name not in found]
    wrong += [f"is also given {name!r}" for name in found if name not in names]
    law = f"after {after} an optimizer is given {' and '.join(names)} alone"
    far = float("inf") if wrong else 0.0
    detail = f"an optimizer {' and '.join(wrong)}" if wrong else ""
    return Comparison(law, len(names), far, float(len(wrong)), 0.0, detail=detail)


def trains_v_and_g(subject: Subject, case: Case) -> Comparison:
    """An optimizer gets v and g, and not the weight, which is computed from them."""
    return _only(_transformed(subject, case), (DIRECTION, LENGTH), "the transform")


def _no_transform(subject: Subject) -> str:
    return "" if subject.transformed is not None else "no transform of a module"


def _weights(normalizer: Normalizer) -> bool:
    return normalizer.acts_on == "weight"


_SPACE = NormalizerSpace(small, formats=(FLOAT32, FLOAT64, BFLOAT16), widths=(4, 6, 3), sets=(4, 6), offsets=False)


def _check(name: str, law: str, source: str, ask: Callable[[Subject, Case], Comparison]) -> Check:
    return Check(name, law, source, ask, _SPACE, concerns=_weights, lacks=_no_transform)


CHECKS = (
    _check("transform-keeps-weight", "g = |v| at first: the function is as before", "sony/nnabla#862",
           keeps_the_weight),
    _check("transform-after-step", "after a step the next forward uses the new weight", "ooples/AiDotNet#1488",
           follows_a_step),
    _check("transform-after-loading", "after another's state was loaded the weight is that one's",
           "pytorch/pytorch#47588", loads_a_state),
    _check("transform-removal", "removal leaves the weight as it was, a plain parameter", "NVIDIA/waveglow#21",
           removal),
    _check("transform-parameters", "an optimizer is given v and g, and not w", "FluxML/Flux.jl#2550", trains_v_and_g),
)  # fmt: skip
