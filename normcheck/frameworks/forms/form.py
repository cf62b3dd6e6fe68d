"""What a form is for a framework: names of further parameters, and the calls by which it is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from normcheck.core.contract import Contract
from normcheck.core.errors import UnsuitedError
from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.forms import PLAIN
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Answer, Call, Life


class FormArrays(Protocol):
    """Operations on arrays of a framework beyond arithmetic and indexing, which all of them have."""

    def like(self, values: Array, x: Any) -> Any:
        """A new array with these values in the format of x."""
        ...

    def counts(self, values: Array, x: Any) -> Any:
        """A new array of integers, in the place of x."""
        ...

    def offsets(self, values: Array, x: Any) -> Any:
        """A new array of integers of 32 bits, in the place of x."""
        ...

    def exact(self, values: Array, x: Any) -> Any:
        """A new array with these values in the widest format, in the place of x."""
        ...

    def numbers(self, x: Any) -> Array:
        """The values of an array, which may be an integer or an 8-bit floating point one."""
        ...

    def constant(self, x: Any) -> Any:
        """The same values, through which no gradient passes."""
        ...

    def joined(self, first: Any, second: Any, axis: int) -> Any:
        """Two arrays, one after the other along an axis."""
        ...

    def taken(self, x: Any, places: Sequence[Array]) -> Any:
        """The entries of an array at these places, an array of indices for each of its axes."""
        ...

    def moved(self, x: Any, source: int, destination: int) -> Any:
        """The array with one axis in another place, in memory of its own."""
        ...

    def parameters(self, layer: Any) -> Mapping[str, Any]:
        """The parameters of a layer by name; none where its framework has no names for them."""
        ...

    def with_parameters(self, layer: Any, values: Mapping[str, Any], call: Callable[[], Any]) -> Any:
        """What a call returns while some parameters of a layer have other values."""
        ...

    def overwrite(self, x: Any, value: float) -> None:
        """Put a value into all entries of an array that has no gradient, where arrays can be written to."""
        ...

    def is_array(self, value: Any) -> bool:
        """Whether a value is an array of the framework."""
        ...

    def format_of(self, x: Any) -> str:
        """The name of the format of an array."""
        ...


@dataclass(frozen=True, slots=True)
class FormQuestion:
    """One call of code of a form: its input x, and the weight and bias that it gets as arguments, by role.

    keeps_statistics: whether the call gets running statistics, or the layer has them.
    """

    x: Any
    arrays: FormArrays
    normalizer: Normalizer
    parameters: Mapping[str, Any] = field(default_factory=dict)
    keeps_statistics: Callable[[], bool] = lambda: False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the input."""
        return tuple(self.x.shape)

    @property
    def units(self) -> int:
        """The axis of units."""
        return len(self.shape) - 1 if self.normalizer.sets.layout == "trailing" else 1

    def like(self, values: Array) -> Any:
        """An array with these values in the format of the input."""
        return self.arrays.like(values, self.x)

    def varied(self, values: Array) -> Any:
        """An array with these values whose gradient is that of the input."""
        return (self.x - self.arrays.constant(self.x)) + self.like(values)


Given = dict[str, Any]
"""The values of parameters by role, "input" among them, and other values that `taken` needs."""


@dataclass(frozen=True, slots=True)
class FormedClaim:
    """What code of a form is claimed to be. use: the way in which it is called."""

    normalizer: Normalizer
    contract: Contract
    use: str = PLAIN


Start = Callable[[Case], Life]
"""Starts a layer that is called several times."""


@dataclass(frozen=True, slots=True)
class Around:
    """A form that is reduced by the calls that are made for a case: of a call, of a trial of it, and of a layer.

    layouts: the input reaches the code in the layout of the case.
    """

    call: Callable[[Call, FormedClaim], Call] = lambda call, claim: call
    trial: Callable[[Call, FormedClaim], Call] = lambda call, claim: call
    start: Callable[[Start, FormedClaim], Start] = lambda start, claim: start
    layouts: bool = True


def of_last_axis(reason: str, *, layouts: bool = True) -> Around:
    """The calls of code that normalizes the last axis alone, as the reason says why no other case is given."""

    def guarded(call: Call, claim: FormedClaim) -> Call:
        def one_axis(case: Case, gradient: bool) -> Answer:
            if case.normalized != 1 or case.units_first:
                raise UnsuitedError(reason, reason)
            return call(case, gradient)

        return one_axis

    return Around(call=guarded, trial=guarded, layouts=layouts)


@dataclass(frozen=True, slots=True)
class FormCall:
    """One way to call code of a form.

    given: the values of its parameters. taken: what the plain normalizer would return, from what was returned and from
    those values, which may have been written to. around: the calls that are made for a case. held: other values of
    parameters that a layer holds, by name, from those that it has.
    """

    given: Callable[[FormQuestion], Given]
    taken: Callable[[Any, Given, FormQuestion], Any]
    around: Around = Around()
    held: Callable[[Mapping[str, Any], FormArrays], Mapping[str, Any]] = lambda parameters, arrays: {}


@dataclass(frozen=True, slots=True)
class FormSpec:
    """A form: the names that its parameters have by role, and its calls by name.

    changed: roles with other values. innermost: what is returned is taken before other forms take theirs. outermost: it
    gives another input, from which other forms make theirs. constructed:
    the value of its parameter for a layer of some width, if the constructor of a class takes it and not the call.
    called: the names that parameters of the normalizer have in this form, by role.
    """

    roles: Mapping[str, tuple[str, ...]]
    calls: Mapping[str, FormCall]
    changed: tuple[str, ...] = ()
    innermost: bool = False
    outermost: bool = False
    constructed: Callable[[int], float] | None = None
    called: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def call(self, use: str) -> FormCall:
        """How code of this form is called in a way; plainly if it has no such way."""
        return self.calls.get(use, self.calls[PLAIN])


def as_given(question: FormQuestion) -> Given:
    """The input as it is."""
    return {"input": question.x}


def as_returned(returned: Any, given: Given, question: FormQuestion) -> Any:
    """What was returned."""
    return returned


def values_of(returned: Any) -> tuple[Any, ...]:
    """What a call returned as a tuple."""
    return tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)


def with_first(returned: Any, change: Callable[[Any], Any]) -> Any:
    """What a call returned, with the first of several values, or the only one, changed."""
    if not isinstance(returned, (tuple, list)):
        return change(returned)
    first, *rest = returned
    return (change(first), *rest)
