"""What a fault is, how two of them compose, and a subject with a fault: the broken reference in working precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.uses import JVP, SECOND, WIDE
from normcheck.normalizers import programs
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults import life, transformed
from normcheck.normalizers.faults.life import LayerHooks
from normcheck.normalizers.faults.transformed import ParametrizationHooks
from normcheck.normalizers.forms import ONE_AXIS, ways
from normcheck.normalizers.normalizer import Normalizer, Partition
from normcheck.normalizers.reference import forms
from normcheck.normalizers.reference.cast_order import BEFORE, output_format
from normcheck.normalizers.reference.oracle import Truth, contract_steps, evaluate, second, stored_factor, tangent
from normcheck.normalizers.reference.standardize import Steps
from normcheck.normalizers.sampling.fit import ranks
from normcheck.normalizers.sampling.wrong_sizes import misfit
from normcheck.normalizers.subject import Answer, Call, Constructed, Domain, Subject


@dataclass(frozen=True, slots=True, eq=False)
class FaultQuestion:
    """A call of a faulty implementation: the case and contract as they were given, whatever the fault makes of them."""

    normalizer: Normalizer
    case: Case
    contract: Contract


def _same(value: Any) -> Any:
    return value


def _case(question: FaultQuestion) -> Case:
    return question.case


def _partition(part: Partition, case: Case) -> Partition:
    return part


def _answer(answer: Answer, question: FaultQuestion) -> Answer:
    return answer


WHERE = {
    "forward": "the output, and the gradients through it",
    "backward": "gradients alone: every output is right",
    "running": "running statistics in training",
    "evaluation": "evaluation with running statistics",
    "format": "the format of the output",
    "construction": "what a new layer starts with",
    "mode": "a layer in evaluation mode that keeps no running statistics",
    "memory": "what lies around arrays in memory, or belongs to others",
    "use": "a way of calling other than plainly",
    "refusal": "what calls return that have to be refused: every right call is right",
}
"""What a fault damages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A known way to be wrong: what it does, its source, which normalizers can have it, how it breaks the reference.

    The changes are applied in this order: the contract, the case that the code sees, which entries share a statistic,
    the steps of the kernel, the answer before it is rounded, the calls of one subject, which may keep state between
    calls, the hooks of a layer that is called several times or those of a transformed module, and a new layer. A
    repartition gets the case as it was given.

    concerns: whether a normalizer can have the fault. where: a key of `WHERE`. under: the contract under which this is
    a fault, if it is none under torch's conventions.
    """

    name: str
    story: str
    source: str
    concerns: Callable[[Normalizer], bool]
    where: str = "forward"
    under: Contract = Contract()  # noqa: RUF009  # frozen value
    contract: Callable[[Contract], Contract] = _same
    before: Callable[[FaultQuestion], Case] = _case
    repartition: Callable[[Partition, Case], Partition] = _partition
    steps: Callable[[Steps], Steps] = _same
    after: Callable[[Answer, FaultQuestion], Answer] = _answer
    around: Callable[[Call], Call] = _same
    layer_hooks: Callable[[LayerHooks], LayerHooks] = _same
    parametrization_hooks: Callable[[ParametrizationHooks], ParametrizationHooks] = _same
    constructed: Callable[[Constructed], Constructed] = _same

    def __post_init__(self) -> None:
        if self.where not in WHERE:
            raise ValueError(f"{self.name}: a fault damages one of {', '.join(WHERE)}, not {self.where!r}")

    @property
    def transforms(self) -> bool:
        """Whether it replaces a hook of a transformed module."""
        return self.parametrization_hooks is not _same

    @property
    def damages(self) -> str:
        """What it damages, in words."""
        return WHERE[self.where]


def compose(first: Fault, second: Fault) -> Fault:
    """Both faults at once: each change of the second is applied to what the first has changed."""
    return Fault(
        name=f"{first.name}+{second.name}",
        story=f"{first.story} {second.story}",
        source=f"{first.source}, {second.source}",
        concerns=lambda n: first.concerns(n) and second.concerns(n),
        where=first.where if first.where == second.where else "forward",
        under=first.under if first.under != Contract() else second.under,
        contract=lambda contract: second.contract(first.contract(contract)),
        before=lambda question: second.before(replace(question, case=first.before(question))),
        repartition=lambda part, case: second.repartition(first.repartition(part, case), case),
        steps=lambda steps: second.steps(first.steps(steps)),
        after=lambda answer, question: second.after(first.after(answer, question), question),
        around=lambda call: second.around(first.around(call)),
        layer_hooks=lambda hooks: second.layer_hooks(first.layer_hooks(hooks)),
        parametrization_hooks=lambda hooks: second.parametrization_hooks(first.parametrization_hooks(hooks)),
        constructed=lambda new: second.constructed(first.constructed(new)),
    )


def without_gradients(answer: Answer) -> Answer:
    """The answer with gradients that are zero, as of an output that depends on nothing."""
    there = {name: value for name in ("dx", "dweight", "dbias") if (value := getattr(answer, name)) is not None}
    zeros: dict[str, Any] = {name: np.zeros_like(value) for name, value in there.items()}
    return replace(answer, **zeros)


NONE = Fault(name="none", story="Nothing is wrong.", source="", concerns=lambda normalizer: True)
"""The fault of a correct implementation."""


def subject(
    normalizer: Normalizer,
    fault: Fault | None = None,
    contract: Contract = Contract(),  # noqa: B008  # frozen value
) -> Subject:
    """An implementation with one fault, or a right one without a fault; it offers everything that checks use."""
    broken = fault or NONE
    promised = broken.contract(contract)
    steps = broken.steps(contract_steps(promised))
    # These conventions are in the steps by now, where a fault may have replaced them.
    rest = replace(promised, eps_place="inside", weight="w", momentum="new")

    def call(case: Case, gradient: bool) -> Answer:
        if wrong := misfit(normalizer, case):
            raise CallError(f"{name} raised ValueError: {wrong}", f"raised ValueError: {wrong}")
        question = FaultQuestion(normalizer, case if gradient else case.but(dy=None), contract)
        with np.errstate(all="ignore"):
            try:
                return answer(question, broken, rest, steps)
            except (ZeroDivisionError, ValueError, IndexError) as error:
                if case.x.size:
                    raise
                raise CallError(f"{name} raised {error!r} on an empty input", "raised on an empty input") from error

    name = f"{normalizer.name} with {broken.name}"
    around = broken.around(call)
    live = life.of(around, contract, broken.layer_hooks(LayerHooks())) if normalizer.state else None
    weights = normalizer.acts_on == "weight"
    made = transformed.of(around, normalizer, broken.parametrization_hooks(ParametrizationHooks())) if weights else None
    new = None if weights else lambda case: broken.constructed(_constructed(case, contract))
    composed = lambda claimed: subject(normalizer, None, claimed).call  # its own steps, without the fault
    offered = domain(normalizer)
    axes = (1,) if any(one in ONE_AXIS for one in contract.form.split("+")) else offered.normalized
    offered = replace(offered, uses=(*offered.uses, *ways(contract.form)), normalized=axes)
    return Subject(name, normalizer, contract, offered, around, live, made, new, composed)


def _constructed(case: Case, contract: Contract) -> Constructed:
    """What a right layer starts with."""
    one = 0.0 if contract.weight == "1+w" else 1.0
    starts = ((case.weight, one), (case.bias, 0.0), (case.running_mean, 0.0), (case.running_var, 1.0))
    weight, bias, mean, var = (None if value is None else np.full(value.shape, start) for value, start in starts)
    return Constructed(weight, bias, mean, var)


def domain(normalizer: Normalizer) -> Domain:
    """The widest domain that implementations of this normalizer have."""
    layout = normalizer.sets.layout
    if normalizer.acts_on == "weight":
        affine: tuple[str, ...] = ("weight",)
    else:
        affine = ("both", "weight", "none", "bias") if normalizer.bias else ("weight", "none")
        affine = affine if normalizer.weight else ("both", "none")
    return Domain(
        ranks=ranks(normalizer),
        normalized=(1, 2) if layout == "trailing" else (1,),
        affine=affine,
        dims=(0, 1, None) if layout == "rows" else (0,),
        refused=frozenset({1}) if layout == "channels" else frozenset(),
        eps=None if normalizer.eps is not None else 0.0,
        evaluation=normalizer.state,
        state=normalizer.state,
        operations=_operations(normalizer) if normalizer.state else (),
    )


def _operations(normalizer: Normalizer) -> tuple[str, ...]:
    """The operations between calls, without those on which conventions disagree.

    Where cases do not share a statistic torch takes momentum None for 0: no other meaning is checked.
    """
    unsaid = () if "case" in normalizer.sets.members else tuple(o for o, m in programs.MOMENTA.items() if m is None)
    return tuple(operation for operation in programs.ALL if operation not in unsaid)


def answer(question: FaultQuestion, fault: Fault, rest: Contract, steps: Steps) -> Answer:
    """What an implementation with this fault returns, every array rounded to the case's format."""
    case = question.case
    seen = fault.before(question)
    bare = seen.but(running_mean=None, running_var=None) if seen.training and seen.running_mean is not None else seen
    steps = _cast_first(steps, case) if rest.cast == BEFORE else steps
    ask = partial(evaluate, steps=steps, repartition=lambda p, _: fault.repartition(p, case))
    truth = ask(question.normalizer, bare, rest)
    pulled = forms.pulled(case.use, truth.y, bare) if case.use in ways(rest.form) else bare
    truth = truth if pulled is bare else ask(question.normalizer, pulled, rest)
    mean, var = _running(truth, seen, case, rest, steps)
    found = Answer(truth.y, output_format(case, rest.cast).name, truth.dx, truth.dweight, truth.dbias, mean, var)
    shaped = case if truth.y.shape == case.x.shape else seen  # of other sets, until the fault puts the answer back
    found = _in_form(found, shaped) if case.use in ways(rest.form) else found
    return _rounded(fault.after(_derived(found, question), question), case)


def _in_form(found: Answer, case: Case) -> Answer:
    """The answer in a further way to call code of a form."""
    dx = None if found.dx is None else forms.input_gradient(case.use, found.y, found.dx, case)
    return replace(found, y=forms.output(case.use, found.y, case), dx=dx)


def _cast_first(steps: Steps, case: Case) -> Steps:
    """The normalized input is rounded to a narrow format before it is multiplied by the weight."""

    def affine(xh: Array, weight: Array | None, bias: Array | None) -> Array:
        return steps.affine(case.format.round(xh).astype(xh.dtype), weight, bias)

    return replace(steps, affine=affine) if case.format.narrow else steps


def _derived(found: Answer, question: FaultQuestion) -> Answer:
    """The answer with the right values of the derivatives that some uses need."""
    case, normalizer = question.case, question.normalizer
    if case.tangent is None or case.use not in (JVP, SECOND):
        return found
    found = replace(found, jv=tangent(evaluate(normalizer, case, question.contract), question.contract))
    return replace(found, ddx=second(normalizer, case, question.contract)) if case.use == SECOND else found


def _running(
    truth: Truth, seen: Case, case: Case, contract: Contract, steps: Steps
) -> tuple[Array | None, Array | None]:
    """Running statistics after the call: each unit averages the statistics of its entries.

    Evaluation leaves them unchanged; code that takes a training batch for evaluation stores what it read.
    """
    part = truth.partition
    if case.running_mean is None or case.running_var is None or not case.training:
        return case.running_mean, case.running_var
    assert seen.running_mean is not None
    assert seen.running_var is not None
    if not seen.training:
        return seen.running_mean, seen.running_var
    factor = stored_factor(contract, part.n)
    mean, var = (
        part.canonical(part.per_set(statistic.astype(np.float64))).mean(axis=(0, 3)).reshape(-1)
        for statistic in (truth.saved.mu, truth.saved.v)
    )
    return (
        steps.blend(seen.running_mean, mean, seen.momentum),
        steps.blend(seen.running_var, var * factor, seen.momentum) if truth.setting.scaled else seen.running_var,
    )


def _rounded(found: Answer, case: Case) -> Answer:
    """The answer rounded to the case's format; an output of another format is not rounded."""
    own = found.format == case.format.name

    def held(array: Array | None) -> Array | None:
        return None if array is None else case.format.round(array)

    state = case.format.wide if case.use == WIDE else case.format

    return replace(
        found,
        y=case.format.round(found.y) if own else found.y.astype(np.float64),
        dx=held(found.dx),
        dweight=held(found.dweight),
        dbias=held(found.dbias),
        jv=held(found.jv),
        ddx=held(found.ddx),
        running_mean=None if found.running_mean is None else state.round(found.running_mean),
        running_var=None if found.running_var is None else state.round(found.running_var),
    )
