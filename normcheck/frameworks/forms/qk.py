"""The form qk: queries and keys are normalized in one call, (q, k) -> (q', k'), each with a weight of its own or one.

The plain call checks the queries, a further one the keys; what is not checked gets other values and half the weight.
Source: Henry et al. 2020, section 3; Dehghani et al. 2023, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from normcheck.core.errors import CallError
from normcheck.frameworks.forms import names
from normcheck.frameworks.forms.form import FormArrays, FormCall, FormQuestion, FormSpec, Given, values_of
from normcheck.normalizers.forms import BY_KEY, OTHER_QUERY, PLAIN

HALF = 0.5
"""The weight of what is not checked is this part of the other: it changes no digit."""


def _given(question: FormQuestion, *, key: bool) -> Given:
    """Queries and keys, one of which is the input."""
    x, other = question.x, question.arrays.constant(question.x) * OTHER_QUERY
    out = {"input": other, "key": x} if key else {"input": x, "key": other}
    weight = question.parameters.get("weight")
    if weight is not None:
        half = question.arrays.constant(weight) * HALF
        out |= {"weight": half, "key_weight": weight} if key else {"weight": weight, "key_weight": half}
    return out


def _held(parameters: Mapping[str, Any], arrays: FormArrays, *, key: bool) -> dict[str, Any]:
    """The parameters of a layer with those of queries for keys, where they have their own: they alone are of a case."""
    out: dict[str, Any] = {}
    for own, of_query in names.of_keys(parameters).items():
        half = arrays.constant(parameters[of_query]) * HALF
        out |= {own: parameters[of_query], of_query: half} if key else {own: half}
    return out


def _taken(returned: Any, given: Given, question: FormQuestion, *, place: int) -> Any:
    arrays = question.arrays
    found = [one for one in values_of(returned) if arrays.is_array(one) and tuple(one.shape) == question.shape]
    if len(found) < 2:
        raise CallError("it returns no queries and keys", "returns no queries and keys")
    return found[place]


def _form(*, own: bool) -> FormSpec:
    """own: keys have a weight of their own."""
    calls = {
        PLAIN: FormCall(partial(_given, key=False), partial(_taken, place=0), held=partial(_held, key=False)),
        BY_KEY: FormCall(partial(_given, key=True), partial(_taken, place=1), held=partial(_held, key=True)),
    }
    if not own:
        return FormSpec({"key": names.KEY}, calls)
    roles = {"key": names.KEY, "key_weight": names.KEY_WEIGHT}
    return FormSpec(roles, calls, changed=("weight",), called={"weight": names.QUERY_WEIGHT})


FORMS = _form(own=True), _form(own=False)
