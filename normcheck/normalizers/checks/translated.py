"""Programs that a tool makes of the code: compiled, exported, or run as a model of ONNX, within the bounds of the code.

They are asked only if the contract demands them. What cannot be compiled or exported is a finding then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from normcheck.core import uses
from normcheck.core.check import Check
from normcheck.core.errors import IN_EXPORT, NOT_IN_RUNTIME, CallError
from normcheck.core.floats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, FORMATS
from normcheck.core.result import CheckWarning, Comparison, worst
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.statistics import updated
from normcheck.normalizers.checks.within_bounds import Ask, gradients_within, output_within, truth_of
from normcheck.normalizers.eps_format import EPS_IN_SINGLE
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, state, values
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject

COMPILED, EXPORTED, ONNX = "compiled", "exported", "onnx"
"""The programs, as `Contract.translated` names them."""

ONE_BATCH = "one-batch-size"
"""Name of the warning on a program that serves the number of cases alone with which it was made."""

OFFSET = {FLOAT64: 1e5, FLOAT32: 1e3, BFLOAT16: 3.0}
"""The largest ratio of mean to deviation among the sets of a case that is compiled, by format: few are compiled."""


def usual(normalizer: Normalizer, draw: Draw) -> Case:
    """A case of sets of many scales, one of them near eps; with running statistics if the normalizer keeps any."""
    return state(normalizer, draw, training=True) if normalizer.state else values(normalizer, draw)


def offset(normalizer: Normalizer, draw: Draw) -> Case:
    """The same, with sets whose mean is large beside their deviation, as it is drawn elsewhere."""
    return usual(normalizer, replace(draw, offset=OFFSET.get(FORMATS[draw.format], draw.offset)))


def _cases(subject: Subject, case: Case, *, training: bool) -> Iterator[Case]:
    """The modes of a case: training, where it is asked or nothing else is offered, and evaluation."""
    evaluates = case.running_mean is not None and subject.domain.evaluation
    if subject.domain.training and (training or not evaluates):
        yield case if subject.domain.state else case.but(running_mean=None, running_var=None)
    if evaluates:
        yield case.but(training=False)


def _label(case: Case) -> str:
    return case.use if case.training else f"{case.use}, evaluation"


def _compiled(subject: Subject, case: Case) -> Iterator[Comparison]:
    """Output, gradients and running statistics of a compiled call, with what is weaker in it."""
    with_gradient = subject.domain.gradient and (case.training or subject.domain.evaluation_gradient)
    answer, truth, label = subject.call(case, with_gradient), truth_of(subject, case), _label(case)
    yield _noted(output_within(subject, truth, answer.y, label), case, answer)
    if with_gradient:
        yield from gradients_within(subject, truth, answer, label)
    if case.training and subject.domain.state:
        yield from updated(subject, truth, answer, f", {label}")


def _noted(found: Comparison, case: Case, answer: Answer) -> Comparison:
    """A comparison with what is weaker in the program, and which tool made it."""
    warnings = tuple(CheckWarning(name, text) for name, text in answer.remarks.items())
    program = case.use.partition(" ")[0]
    return replace(found, notes={program: f"by {answer.made_by}"} if answer.made_by else {}, warnings=warnings)


def _compiled_by(use: str) -> Ask:
    """The check of compiled code in training and in evaluation."""

    def ask(subject: Subject, case: Case) -> Comparison:
        modes = _cases(subject, case.but(use=use), training=True)
        return worst(*(one for mode in modes for one in _compiled(subject, mode)))

    return ask


def _exported_by(for_any: str, for_one: str, *, training: Callable[[Subject], bool]) -> Ask:
    """The check of an exported program.

    It is made for any number of cases if it can be, else for that of the case, which is a warning: torch's own layers
    can be. A weight is no batch of cases. What the runtime has no code for says nothing about the program.
    """

    def ask(subject: Subject, case: Case) -> Comparison:
        first = for_one if subject.normalizer.acts_on == "weight" else for_any
        modes = _cases(subject, case, training=training(subject))
        return worst(*(_exported(subject, mode.but(use=first), for_one) for mode in modes))

    return ask


def _exported(subject: Subject, case: Case, for_one: str) -> Comparison:
    """The output of an exported program; for_one: the way of calling one that serves one number of cases."""
    try:
        return _output(subject, case)
    except CallError as error:
        if error.reason.endswith(NOT_IN_RUNTIME):
            return Comparison(f"y, {_label(case)}", 0, 0.0, refused={f"{case.use}, {case.format.name}": error.reason})
        if case.use == for_one or IN_EXPORT not in error.reason:
            raise
        found = _exported(subject, case.but(use=for_one), for_one)
        text = f"the program serves one number of cases alone: with any number left open, the code {error.reason}"
        return replace(found, warnings=(*found.warnings, CheckWarning(ONE_BATCH, text)))


def _output(subject: Subject, case: Case) -> Comparison:
    """The output of an exported program, with the eps of the code or, as a warning, with that number in float32."""
    answer, label = subject.call(case, False), _label(case)
    found = _noted(output_within(subject, truth_of(subject, case), answer.y, label), case, answer)
    if found.holds or case.format is not FLOAT64 or subject.contract.eps_format != "default":
        return found
    single = replace(subject, contract=replace(subject.contract, eps_format=FLOAT32.name))
    held = output_within(single, truth_of(single, case), answer.y, label)
    return replace(held, notes=found.notes, warnings=(EPS_IN_SINGLE,)) if held.holds else found


def _keeps_its_own(subject: Subject) -> bool:
    """Whether running statistics are buffers of a module, which a program takes over, and no arguments."""
    return not subject.normalizer.state or not subject.domain.own_parameters


def _lacks(program: str, *names: str) -> Callable[[Subject], str]:
    """A predicate: why a program of an implementation is not checked; empty if it is."""

    def lacks(subject: Subject) -> str:
        if program not in subject.contract.translated:
            return f"asked with --norm-translated {program}"
        return "" if set(names) <= set(subject.domain.uses) else uses.NOT_APPLICABLE

    return lacks


_GRID = NormalizerSpace(offset, formats=(FLOAT64, FLOAT32, BFLOAT16), widths=(64,), edges=(64,), grid=True)
_FEW = NormalizerSpace(usual, formats=(FLOAT64, FLOAT32, BFLOAT16, FLOAT16), widths=(8, 6, 17), sets=(6, 4, 5))

CHECKS = (
    Check("compiled-code", "compiled, output, gradients and running statistics are within the bounds of the code",
          "pytorch/pytorch#181696", _compiled_by(uses.COMPILED), _GRID, lacks=_lacks(COMPILED, uses.COMPILED),
          translation=COMPILED, cost=math.inf),
    Check("compiled-batches", "compiled once, it is right for batches of other sizes, in one graph",
          "pytorch/pytorch#194504", _compiled_by(uses.COMPILED_FOR_BATCHES),
          replace(_FEW, formats=(FLOAT32,), once=True), concerns=lambda n: n.acts_on == "activation",
          lacks=_lacks(COMPILED, uses.COMPILED_FOR_BATCHES), translation=COMPILED, cost=math.inf),
    Check("exported-program", "exported from another input, the output is within the bounds of the code",
          "pytorch/pytorch#18525",
          _exported_by(uses.EXPORTED_FOR_ANY, uses.EXPORTED_FOR_ONE, training=_keeps_its_own), _FEW,
          lacks=_lacks(EXPORTED, uses.EXPORTED_FOR_ONE), translation=EXPORTED, cost=6.0),
    Check("onnx-model", "exported to ONNX from another input and run, the output is within the bounds of the code",
          "pytorch/pytorch#60582",
          _exported_by(uses.ONNX_FOR_ANY, uses.ONNX_FOR_ONE, training=lambda subject: not subject.normalizer.state),
          replace(_FEW, formats=(FLOAT64, FLOAT32, FLOAT16)), lacks=_lacks(ONNX, uses.ONNX_FOR_ONE), translation=ONNX,
          cost=math.inf),
)  # fmt: skip
