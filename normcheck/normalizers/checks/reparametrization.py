"""A module whose weight was replaced by a direction v and a length g: initialized, trained, loaded, removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core import uses
from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.errors import CallError
from normcheck.core.floats import BFLOAT16, FLOAT32, FLOAT64
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds import laws
from normcheck.normalizers.bounds.contracted import forward_bound
from normcheck.normalizers.case import WEIGHT, Case
from normcheck.normalizers.checks.within_bounds import output_within, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject, Transformed

DIRECTION, LENGTH = "direction", "length"
"""Names of the parameters that an optimizer gets, as `Transformed.trained` returns them."""

OTHER_NAME = "weight_hh_l0"
"""The name of a parameter that is transformed beside a weight: of torch's recurrent layers."""

DEEP_COPY = uses.COPIES[0]


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
    """The case with the current v and g of the module. Raises `CallError` if it has none of their sizes."""
    assert case.weight is not None, "the normalizer acts on weights"
    trained = made.trained()
    sizes = {name: trained[name].size for name in (DIRECTION, LENGTH) if name in trained}
    if sizes != {DIRECTION: case.x.size, LENGTH: case.weight.size}:
        raise CallError(f"the module has parameters of {sizes or 'no'} entries, not a direction and a length")
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


def evaluates(subject: Subject, case: Case) -> Comparison:
    """After a step, and after a state was loaded, w in evaluation is that of the call in training that follows."""
    made = _transformed(subject, case)
    made.step(case)
    allowed = forward_bound(subject, truth_of(subject, _held(made, case)))
    stepped = differ("after a step w in evaluation is w in training", made.evaluated(), made.weight(), allowed)
    other = case.but(x=case.format.round(1.5 - 0.5 * case.x))
    made.load(other)
    allowed = forward_bound(subject, truth_of(subject, other))
    law = "after another's state was loaded w in evaluation is w in training"
    return worst(stepped, differ(law, made.evaluated(), made.weight(), allowed))


def copied(subject: Subject, case: Case) -> Comparison:
    """After a step and a call, a deep copy has the weight of its original, and keeps it when the original changes."""
    made = _transformed(subject, case)
    made.step(case)
    before, truth = made.weight(), truth_of(subject, _held(made, case))
    try:
        made.copy()
    except CallError as error:
        return _violated("a module can be deep-copied after a call", error.reason)
    return differ("w of a deep copy is w of the original", made.weight(), before, forward_bound(subject, truth))


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
    return _violated(law, f"an optimizer {' and '.join(wrong)}") if wrong else Comparison(law, len(names), 0.0)


def _violated(law: str, detail: str) -> Comparison:
    return Comparison(law, 1, float("inf"), 1.0, 0.0, detail=detail)


def trains_v_and_g(subject: Subject, case: Case) -> Comparison:
    """An optimizer gets v and g in the format of the weight, and not the weight, which is computed from them."""
    made = _transformed(subject, case)
    wrong = {name: format for name, format in made.formats().items() if format != case.format.name}
    law = "v and g have the format of the weight"
    if wrong:
        detail = ", ".join(f"the {name} is {format}" for name, format in wrong.items())
        return _violated(law, f"of a module in {case.format.name} {detail}")
    return worst(_only(made, (DIRECTION, LENGTH), "the transform"), _returns(made))


def _returns(made: Transformed) -> Comparison:
    law = "the transform returns the module"
    returned = made.returned()["returned"]
    return Comparison(law, 1, 0.0) if returned == "a module" else _violated(law, f"it returned {returned}")


def options(subject: Subject, case: Case) -> Comparison:
    """The parameter that is named is replaced, and no other; g has one entry for each index of the axis dim."""
    taken = _transformed(subject, case).options()
    found, refused = [], {}
    if "dim" in taken and case.x.ndim > 1:
        for dim in (0, 1, None):
            try:
                found.append(_one_length_for_each(subject, case.but(dim=dim)))
            except CallError as error:
                refused[f"dim={dim}"] = error.reason
    if "name" in taken:
        try:
            found += _only_the_named(subject, case)
        except CallError as error:
            refused[f"name={OTHER_NAME!r}"] = error.reason
    one = worst(*found) if found else Comparison("options of the transform", 0, 0.0)
    return replace(one, refused=refused)


def _one_length_for_each(subject: Subject, case: Case) -> Comparison:
    entries = 1 if case.dim is None else case.x.shape[case.dim]
    g = _transformed(subject, case).trained().get(LENGTH)
    law = "g has one entry for each index of the axis dim"
    if g is None or g.size == entries:
        return Comparison(law, 1, 0.0)
    return _violated(law, f"at dim={case.dim} for a weight of shape {case.x.shape} it has {g.size} entries")


def _only_the_named(subject: Subject, case: Case) -> tuple[Comparison, ...]:
    """A module with two parameters: the one that is named becomes what the weight of a module with one becomes."""
    made, allowed = (
        _transformed(subject, case.but(parameter=OTHER_NAME)),
        forward_bound(subject, _initial(subject, case)),
    )
    law = f"{OTHER_NAME}, once transformed, is what a weight becomes"
    return (
        differ(law, made.weight(), _transformed(subject, case).weight(), allowed),
        _only(made, (DIRECTION, LENGTH, WEIGHT), f"the transform of {OTHER_NAME}"),
    )


def _weights(normalizer: Normalizer) -> bool:
    return normalizer.acts_on == "weight"


def _no_transform(subject: Subject) -> str:
    return "" if subject.transformed is not None else "no transform of a module"


def _no_deep_copy(subject: Subject) -> str:
    return _no_transform(subject) or ("" if DEEP_COPY in subject.domain.uses else f"{DEEP_COPY}: it is left out")


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
    _check("transform-evaluation", "in evaluation the weight is that of v and g as they are now", "torch/nn#1205",
           evaluates),
    _check("transform-removal", "removal leaves the weight as it was, a plain parameter", "NVIDIA/waveglow#21",
           removal),
    _check("transform-parameters", "an optimizer is given v and g, and not w", "FluxML/Flux.jl#2550", trains_v_and_g),
    replace(
        _check("transform-copies", "a deep copy of the module has its weight, and v and g of its own",
               "pytorch/pytorch#28594", copied),
        lacks=_no_deep_copy,
    ),
    replace(
        _check("transform-options", "the parameter that is named is replaced, with a g for each index of dim",
               "pytorch/pytorch#1945", options),
        cost=4.0,
    ),
)  # fmt: skip
