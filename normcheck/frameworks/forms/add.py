"""The form add: y = norm(input + residual), and the sum as the new residual, returned or written in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normcheck.core.errors import CallError
from normcheck.core.foreign_code import attribute
from normcheck.frameworks.forms.form import FormArrays, FormCall, FormSpec, values_of
from normcheck.normalizers.forms import ALONE, BY_RESIDUAL, OF_BOTH, OTHER, OTHER_RESIDUAL, PLAIN, SHARES, in_turn
from normcheck.normalizers.normalizer import Normalizer

BEFORE = "the input as it was given"


def _marked(given: dict[str, Any]) -> dict[str, Any]:
    """The values, and how the input was computed: code that writes in place without a graph leaves it as it was."""
    return given | {BEFORE: attribute(given["input"], "grad_fn")}


def _shared(x: Any, arrays: FormArrays, normalizer: Normalizer) -> dict[str, Any]:
    part = x * arrays.like(in_turn(SHARES, tuple(x.shape)), x)
    return _marked({"input": x - part, "residual": part})


def _by_residual(x: Any, arrays: FormArrays, normalizer: Normalizer) -> dict[str, Any]:
    part = arrays.constant(x * arrays.like(in_turn(SHARES, tuple(x.shape)), x))
    return _marked({"input": part, "residual": x - part})


def _rounded(x: Any, arrays: FormArrays, normalizer: Normalizer) -> dict[str, Any]:
    return _marked({"input": x * 1.0, "residual": arrays.constant(x) * OTHER_RESIDUAL})


def _outputs(returned: Any, given: Mapping[str, Any], arrays: FormArrays) -> tuple[Any, ...]:
    """The output and the new residual: returned, or written into what was given."""
    found = tuple(one for one in values_of(returned) if arrays.is_array(one))
    shape = tuple(given["input"].shape)
    found = tuple(one for one in found if tuple(one.shape) == shape)
    if len(found) >= 2:
        return found[:2]
    if returned is None:
        written = (given["input"], given["residual"])
        same = given[BEFORE] is not None and attribute(given["input"], "grad_fn") is given[BEFORE]
        return tuple(map(arrays.constant, written)) if same else written
    return (*found, given["residual"]) if _was_written(given["residual"]) else found


def _was_written(residual: Any) -> bool:
    """Whether an array was written to in place, where the framework counts that."""
    version = attribute(residual, "_version")
    return isinstance(version, int) and version > 0


def _output(returned: Any, given: Mapping[str, Any], arrays: FormArrays, normalizer: Normalizer) -> Any:
    found = _outputs(returned, given, arrays)
    return found[0] if found else returned


def _other(returned: Any, given: Mapping[str, Any], arrays: FormArrays, normalizer: Normalizer) -> Any:
    return _both(returned, given, arrays)[1]


def _sum(returned: Any, given: Mapping[str, Any], arrays: FormArrays, normalizer: Normalizer) -> Any:
    first, second = _both(returned, given, arrays)
    return first + second


def _both(returned: Any, given: Mapping[str, Any], arrays: FormArrays) -> tuple[Any, Any]:
    found = _outputs(returned, given, arrays)
    if len(found) < 2:
        raise CallError(f"it {ALONE}", ALONE)
    return found[0], found[1]


FORM = FormSpec(
    roles={
        "residual": (
            "residual", "res", "residuals", "skip", "shortcut", "identity", "resid", "residual_in", "prev_residual", "x2",
            "add", "addend", "other", "hidden_residual", "residual_states",
        ),
    },
    calls={
        PLAIN: FormCall(_shared, _output),
        OTHER: FormCall(_rounded, _other),
        BY_RESIDUAL: FormCall(_by_residual, _output),
        OF_BOTH: FormCall(_by_residual, _sum),
    },
)  # fmt: skip
