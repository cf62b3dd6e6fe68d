"""The schema of every reply of a worker: what is not exactly of its form is refused before anything uses it.

A form is a function that returns a value that has the form, and raises `WireError` for any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from normcheck.core import uses
from normcheck.core.floats import Array
from normcheck.core.layouts import NAMES, REVERSED
from normcheck.frameworks.isolation.wire import WireError
from normcheck.frameworks.registry import REGISTERED
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Constructed, State

Form = Callable[[Any], Any]

LONGEST_TEXT, MOST_ITEMS = 20_000, 10_000
"""Most characters of a text, and most items of a list or mapping."""

LARGEST_SIZE, MOST_ENTRIES, MOST_AXES = 1 << 24, 1 << 24, 8
"""Largest size that a layer has, most entries of one set that it normalizes, and most axes of its inputs."""


def _refuse() -> WireError:
    return WireError("it sent an invalid response")


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise _refuse()
    return value


def truth(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise _refuse()
    return value


def number(value: Any) -> float:
    """A number that a float can hold, or infinity; no NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) > 1e308:  # noqa: PLR0124  # NaN
        raise _refuse()
    return float(value)


def measured(value: Any) -> float:
    """A number that a float can hold, infinity, or NaN."""
    return float(value) if isinstance(value, float) and math.isnan(value) else number(value)


def nothing(value: Any) -> None:
    """None."""
    if value is not None:
        raise _refuse()


def integer(least: int, most: int) -> Form:
    """An integer between two others."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _refuse()
        return value

    return read


def one_of(names: Iterable[str]) -> Form:
    """One of some texts."""
    known = frozenset(names)

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise _refuse()
        return value

    return read


def optional(form: Form) -> Form:
    """A value of that form, or None."""
    return lambda value: None if value is None else form(value)


def first_of(forms: Sequence[Form]) -> Form:
    """A value of the first of several forms that it has."""

    def read(value: Any) -> Any:
        for form in forms:
            try:
                return form(value)
            except WireError:
                continue
        raise _refuse()

    return read


def several(form: Form, least: int = 0, most: int = MOST_ITEMS) -> Form:
    """A tuple of values of that form."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise _refuse()
        return tuple(map(form, value))

    return read


def pair(first: Form, second: Form) -> Form:
    """A tuple of two values."""

    def read(value: Any) -> tuple[Any, Any]:
        if not isinstance(value, list) or len(value) != 2:
            raise _refuse()
        return first(value[0]), second(value[1])

    return read


def mapping(form: Form) -> Form:
    """A mapping from texts to values of that form."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > MOST_ITEMS:
            raise _refuse()
        return {text(key): form(item) for key, item in value.items()}

    return read


def record(**forms: Form) -> Form:
    """A mapping with exactly these keys, each of its form."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or value.keys() != forms.keys():
            raise _refuse()
        return {key: form(value[key]) for key, form in forms.items()}

    return read


def array(like: Array | None = None) -> Form:
    """An array, of the shape of another one if that is given."""

    def read(value: Any) -> Array:
        if not isinstance(value, np.ndarray) or (like is not None and value.shape != like.shape):
            raise _refuse()
        return value

    return read


def _of_case(like: Array | None) -> Form:
    """What a case has an array for: one of its shape, or None. Without such an array, None whatever is sent."""
    return (lambda value: None) if like is None else optional(array(like))


def _sizes(value: Any) -> dict[str, Any]:
    size = integer(1, LARGEST_SIZE)
    found: dict[str, Any] = record(units=optional(size), groups=size, shape=several(size, most=MOST_AXES))(value)
    if math.prod(found["shape"]) > MOST_ENTRIES or found["groups"] > (found["units"] or LARGEST_SIZE):
        raise _refuse()
    return found


def _normalized(value: Any) -> tuple[int, ...]:
    """Numbers of trailing axes: one, which every input has, or one and two."""
    found: tuple[int, ...] = several(integer(1, 2))(value)
    if found not in ((1,), (1, 2)):
        raise _refuse()
    return found


TEXTS: Form = several(text)
REASONS: Form = mapping(text)
CHANGES: Form = TEXTS
READY: Form = record(ready=truth)
END: Form = record(threads=TEXTS)
ENDED: Form = record(status=integer(-256, 256), left=integer(0, 1 << 30))
AFFINE = ("both", "weight", "none", "bias")
"""Parameters that an input may come with, as `Domain.affine` names them."""

OFFER: Form = record(
    affine=several(one_of(AFFINE), least=1, most=len(AFFINE)),
    takes_eps=truth,
    eps_attribute=optional(number),
    normalized=_normalized,
    dims=several(optional(integer(-1, MOST_AXES)), least=1, most=MOST_AXES),
    state=truth,
    evaluation=truth,
    sizes=optional(_sizes),
    layouts=several(one_of((*NAMES, REVERSED))),
    watched=truth,
    compiles_per_shape=truth,
    uses=several(one_of(uses.ALL)),
    own_parameters=truth,
    modeless=truth,
    trained_only=truth,
    language=optional(record(framework=one_of(REGISTERED))),
    spell=truth,
    absent=several(pair(text, text)),
    module=truth,
    transforms=truth,
    **{"class": truth},
    layer=truth,
)
"""What an implementation supports in one way of calling it."""

OFFERS: Form = several(OFFER, least=1, most=16)


def answer(case: Case) -> Form:
    """What a call on a case returned."""
    form = record(
        y=array(case.x), format=text, dx=optional(array(case.x)),
        dweight=_of_case(case.weight), dbias=_of_case(case.bias),
        running_mean=_of_case(case.running_mean), running_var=_of_case(case.running_var),
        jv=optional(array(case.x)), ddx=optional(array(case.x)),
        called=TEXTS, kept_format=truth, packed=text, changed=TEXTS, remarks=REASONS,
        made_by=text,
    )  # fmt: skip
    return lambda value: Answer(**form(value))


def constructed(value: Any) -> Constructed:
    """The values with which a layer starts."""
    arrays = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), optional(array()))
    return Constructed(
        **record(**arrays, unregistered=TEXTS, untrained=TEXTS, unfilled=TEXTS, left_behind=TEXTS)(value)
    )


def state(value: Any) -> State:
    """The running statistics of a layer."""
    count = optional(integer(-(1 << 62), 1 << 62))
    return State(**record(mean=array(), var=array(), format=text, count=count, graph=truth)(value))


def _failure(key: str) -> Form:
    """A reply that tells of an exception, with further texts in the case of a call."""
    return record(call=text, reason=text) if key == "call" else record(usage=text)


def outcome(value: dict[str, Any]) -> tuple[str, Any]:
    """A reply as its kind, "result", "usage" or "call", and its content: the result, or a mapping of texts."""
    keys = set(value)
    if keys == {"result"}:
        return "result", value["result"]
    key = "call" if "call" in keys else "usage"
    return key, _failure(key)(value)
