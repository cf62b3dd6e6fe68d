"""Faults that a plain call does not show: frozen parameters, copies, threads, transforms, compilers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count

import numpy as np

from normcheck.core import uses
from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import activations, any_of_them, divides, stateless, weighted
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.subject import Answer, Call

Change = Callable[[Answer, FaultQuestion], Answer]


def _under(names: Iterable[str], change: Change) -> Change:
    """A change of the answer under some uses only."""
    some = tuple(names)

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        return change(answer, question) if question.case.use in some else answer

    return after


def _of_another(answer: Answer, question: FaultQuestion) -> Answer:
    """The output for another input."""
    case = question.case
    return replace(answer, y=evaluate(question.normalizer, case.but(x=1.0 - 0.5 * case.x), question.contract).y)


def _scaled(name: str, factor: float) -> Change:
    def change(answer: Answer, question: FaultQuestion) -> Answer:
        value = getattr(answer, name)
        return answer if value is None else replace(answer, **{name: factor * value})

    return change


def _without_bias(answer: Answer, question: FaultQuestion) -> Answer:
    bias = question.case.bias
    part = question.normalizer.sets.over(
        question.case.x.shape, groups=question.case.groups, normalized=question.case.normalized, dim=question.case.dim
    )
    return answer if bias is None else replace(answer, y=answer.y - part.spread(bias))


def _forgets_mean(answer: Answer, question: FaultQuestion) -> Answer:
    """J v without the term of the mean: too large by weight v / s at every entry, here by one constant."""
    return answer if answer.jv is None else replace(answer, jv=answer.jv + 0.25 * np.abs(answer.jv).mean())


def _as_if_weight_one(answer: Answer, question: FaultQuestion) -> Answer:
    """The second backward forgets that the weight is part of the cotangent."""
    weight = question.case.weight
    if answer.ddx is None or weight is None:
        return answer
    return replace(answer, ddx=answer.ddx / float(np.abs(weight).mean()))


def _merged(answer: Answer, question: FaultQuestion) -> Answer:
    """The output of one of a stack of inputs that share their statistics."""
    other = evaluate(question.normalizer, question.case.but(x=1.0 - question.case.x), question.contract).y
    return replace(answer, y=0.5 * (answer.y + other))


def _rounded_parameters(answer: Answer, question: FaultQuestion) -> Answer:
    """Parameters cast to a format with three digits less than the input's."""

    def coarse(array: Array) -> Array:
        mantissa, exponent = np.frexp(array)
        return np.ldexp(np.round(mantissa * 16.0) / 16.0, exponent)

    case = question.case
    rough = case.but(
        weight=None if case.weight is None else coarse(case.weight),
        bias=None if case.bias is None else coarse(case.bias),
    )
    return replace(answer, y=evaluate(question.normalizer, rough, question.contract).y)


def _after(calls: int) -> Callable[[Call], Call]:
    """Right for some calls on the same content, wrong after them."""

    def around(call: Call) -> Call:
        seen: dict[bytes, count[int]] = {}

        def counted(case: Case, gradient: bool) -> Answer:
            answer = call(case, gradient)
            times = next(seen.setdefault(case.x.tobytes(), count(1)))
            return answer if times <= calls else replace(answer, y=case.format.round(1.25 * answer.y))

        return counted

    return around


def _has_bias(normalizer: Normalizer) -> bool:
    return normalizer.bias


def _fault(name: str, story: str, source: str, names: Iterable[str], change: Change, *,
           concerns: Callable[[Normalizer], bool] = any_of_them) -> Fault:  # fmt: skip
    return Fault(name=name, story=story, source=source, concerns=concerns, where="use", after=_under(names, change))


FAULTS = (
    _fault(
        "grad-mode-changes-output",
        "Takes another path where gradients are off, the path of deployment, and that path is wrong.",
        "intel/intel-extension-for-pytorch#597", uses.WITHOUT_GRADIENT, _scaled("y", 1.125), concerns=stateless,
    ),
    _fault(
        "frozen-weight-breaks-dx",
        "The backward computes the gradient of the weight on the way to that of the input, and skips both or half of "
        "it where the weight is frozen, as it is in fine-tuning.",
        "PaddlePaddle/Paddle#54669", ("x alone", "x and bias"), _scaled("dx", 0.5),
    ),
    _fault(
        "frozen-input-loses-dweight",
        "No gradient of the weight where the input needs none: the first layer of every network.",
        "pytorch/pytorch#80952", ("weight alone", "weight and bias"), _scaled("dweight", 0.0), concerns=weighted,
    ),
    _fault(
        "gradient-overwritten",
        "Writes .grad instead of adding to it: the second use of a shared layer erases the first.",
        "apache/mxnet#18499", ("accumulated gradient",), _scaled("dweight", 0.5), concerns=weighted,
    ),
    _fault(
        "saved-values-overwritten",
        "The backward computes in the arrays that the forward has saved: a second backward through the same graph, as "
        "for two losses, reads what is left there.",
        "pytorch/pytorch#18619", (uses.GRAPH_AGAIN,), _scaled("dx", 0.5),
    ),
    _fault(
        "cached-by-pointer",
        "Keeps its result by the address of the input: new content in the same storage gets the old result.",
        "gpu-mode/reference-kernels#162", ("rewritten storage",), _of_another,
    ),
    _fault(
        "threads-share-scratch",
        "Keeps intermediate results in one buffer of the module: two threads overwrite each other's.",
        "microsoft/onnxruntime#22479", ("two threads",), _of_another,
    ),
    _fault(
        "copy-shares-nothing",
        "A deep copy or a pickle loses what is kept beside the parameters, and starts from defaults.",
        "pytorch/pytorch#102983", uses.COPIES, _without_bias, concerns=_has_bias,
    ),
    _fault(
        "vmap-merges-stack",
        "Takes the axis that vmap adds for one of its own: inputs of a stack share statistics.",
        "pytorch/functorch#534", ("vmap",), _merged,
    ),
    _fault(
        "jacobian-rows-wrong",
        "The batched backward, which jacrev and is_grads_batched use, sums over the wrong axis.",
        "pytorch/functorch#534", ("jacrev",), _scaled("dx", 2.0),
    ),
    _fault(
        "recomputed-twice",
        "Keeps something from the forward that recomputation under checkpointing changes before the backward.",
        "pytorch/pytorch#96136", (uses.CHECKPOINT,), _scaled("dx", 0.75),
    ),
    _fault(
        "jvp-mean-term-missing",
        "Forward mode forgets that the mean moves with the input.",
        "pytorch/pytorch#196700", (uses.JVP,), _forgets_mean,
    ),
    _fault(
        "second-derivative-without-weight",
        "The second backward is right for a weight of one, on which it was tested, and for no other.",
        "pytorch/pytorch#41595", (uses.SECOND,), _as_if_weight_one, concerns=divides,
    ),
    _fault(
        "create-graph-changes-gradient",
        "With create_graph=True the backward takes another formula, and the first gradient changes.",
        "pytorch/pytorch#41595", (uses.SECOND,), _scaled("dx", 1.0625), concerns=divides,
    ),
    _fault(
        "autocast-loses-bias",
        "Under automatic mixed precision another branch is taken, written for layers without a bias.",
        "pytorch/pytorch#167308", (uses.AUTOCAST,), _without_bias, concerns=_has_bias,
    ),
    _fault(
        "wide-parameters-truncated",
        "Parameters wider than the input lose most of their bits, as by a wrong view of their memory.",
        "pytorch/pytorch#190054", (uses.WIDE,), _rounded_parameters, concerns=activations,
    ),
    _fault(
        "compiled-differs",
        "The compiler's decomposition is another formula than the eager kernel.",
        "Lightning-AI/lightning-thunder#1713", (uses.COMPILED,), _scaled("y", 1.0625),
    ),
    _fault(
        "export-freezes-input",
        "Something that depends on the input is computed in Python and becomes a constant of the exported graph.",
        "pytorch/pytorch#18525", (uses.EXPORTED,), _of_another,
    ),
    Fault(
        name="wrong-after-ten-calls",
        story="Right for the ten calls of a test, wrong from the eleventh on.",
        source="karpathy/llm.c#852",
        concerns=any_of_them,
        around=_after(10),
    ),
    Fault(
        name="wrong-after-a-hundred-calls",
        story="Right for a benchmark's hundred calls, wrong after them: a counter, a pool or a workspace runs over.",
        source="gpu-mode/pygpubench#7",
        concerns=any_of_them,
        around=_after(100),
    ),
)  # fmt: skip
