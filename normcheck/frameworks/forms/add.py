"""The form add: y = norm(input + residual), and the sum as the new residual, returned or written in place."""

from __future__ import annotations

from typing import Any

from normcheck.core.errors import CallError
from normcheck.core.foreign_code import attribute
from normcheck.frameworks.forms.form import FormCall, FormQuestion, FormSpec, Given, values_of
from normcheck.frameworks.forms.names import RESIDUAL
from normcheck.normalizers.forms import (
    AFTERWARDS,
    ALONE,
    BY_RESIDUAL,
    OF_BOTH,
    OTHER,
    OTHER_RESIDUAL,
    PLAIN,
    SHARES,
    in_turn,
)

BEFORE = "how the input was computed"


def _marked(x: Any, residual: Any) -> Given:
    """The values, and how the input was computed: code that writes in place without a graph leaves it as it was."""
    return {"input": x, "residual": residual, BEFORE: attribute(x, "grad_fn")}


def _part(question: FormQuestion) -> Any:
    return question.x * question.like(in_turn(SHARES, question.shape))


def _shared(question: FormQuestion) -> Given:
    part = _part(question)
    return _marked(question.x - part, part)


def _by_residual(question: FormQuestion) -> Given:
    part = question.arrays.constant(_part(question))
    return _marked(part, question.x - part)


def _rounded(question: FormQuestion) -> Given:
    return _marked(question.x * 1.0, question.arrays.constant(question.x) * OTHER_RESIDUAL)


def _outputs(returned: Any, given: Given, question: FormQuestion) -> tuple[Any, ...]:
    """The output and the new residual: returned, or written into what was given."""
    arrays = question.arrays
    if returned is None:
        written = (given["input"], given["residual"])
        same = given[BEFORE] is not None and attribute(given["input"], "grad_fn") is given[BEFORE]
        return tuple(map(arrays.constant, written)) if same else written
    found = tuple(one for one in values_of(returned) if arrays.is_array(one) and tuple(one.shape) == question.shape)
    return (*found[:2], given["residual"]) if len(found) < 2 and _was_written(given["residual"]) else found[:2]


def _was_written(residual: Any) -> bool:
    """Whether an array was written to in place, where the framework counts that."""
    version = attribute(residual, "_version")
    return isinstance(version, int) and version > 0


def _output(returned: Any, given: Given, question: FormQuestion) -> Any:
    found = _outputs(returned, given, question)
    return found[0] if found else returned


def _both(returned: Any, given: Given, question: FormQuestion) -> tuple[Any, Any]:
    found = _outputs(returned, given, question)
    if len(found) < 2:
        raise CallError(f"it {ALONE}", ALONE)
    return found[0], found[1]


def _other(returned: Any, given: Given, question: FormQuestion) -> Any:
    """The new residual, after the caller has put something else into the memory of the input."""
    _, residual = _both(returned, given, question)
    question.arrays.overwrite(given["input"], AFTERWARDS)
    return residual


def _sum(returned: Any, given: Given, question: FormQuestion) -> Any:
    first, second = _both(returned, given, question)
    return first + second


FORM = FormSpec(
    roles={"residual": RESIDUAL},
    calls={
        PLAIN: FormCall(_shared, _output),
        OTHER: FormCall(_rounded, _other),
        BY_RESIDUAL: FormCall(_by_residual, _output),
        OF_BOTH: FormCall(_by_residual, _sum),
    },
)
