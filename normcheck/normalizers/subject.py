"""An implementation of a normalizer as the checks see it: how to call it, what it returns, what it accepts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from normcheck.core import uses
from normcheck.core.contract import Contract
from normcheck.core.floats import FORMATS, Array
from normcheck.core.layouts import NAMES
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes

PARAMETERS = "parameters"
"""The capability of getting the parameters of a case, as `Domain.absent` names it."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a call returned, converted to float64, and what was observed during it."""

    y: Array
    format: str  # of the output
    dx: Array | None = None
    dweight: Array | None = None
    dbias: Array | None = None
    running_mean: Array | None = None
    running_var: Array | None = None
    jv: Array | None = None  # derivative of y along the case's tangent v
    ddx: Array | None = None  # derivative of <dx, v> by x
    called: tuple[str, ...] = ()  # normalizing operators of the framework; recorded under the use "observed"
    kept_format: bool = True  # the output has the memory format of the input; recorded under the use "observed"
    packed: str = ""  # what was returned, if the output must be taken out of it and more than one value can be meant
    changed: tuple[str, ...] = ()  # side effects of the call; recorded if the case is watched
    remarks: Mapping[str, str] = field(default_factory=dict)  # what is weaker in a program made of the code, in words
    made_by: str = ""  # the tool that made this program


Call = Callable[[Case, bool], Answer]
"""Calls the implementation on a case, with gradients if the flag is set. Raises `CallError` where the code raises."""


Composed = Callable[[Contract], Call | None] | None
"""By contract, the call of the composition of the framework's basic operators."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The running statistics that a layer holds, one value for each unit."""

    mean: Array
    var: Array
    format: str = ""  # in which they are stored; empty: unknown
    count: int | None = None  # number of batches seen; None: unknown
    graph: bool = False  # whether the statistics have a history of calls, so that these are kept in memory


@dataclass(frozen=True, slots=True, eq=False)
class Constructed:
    """The values with which a layer starts, each in its own shape; None for what the layer does not have."""

    weight: Array | None = None
    bias: Array | None = None
    running_mean: Array | None = None
    running_var: Array | None = None
    unregistered: tuple[str, ...] = ()  # names of weight and bias that no optimizer, state_dict or conversion sees
    untrained: tuple[str, ...] = ()  # names of weight and bias that are saved, and that no optimizer sees
    unfilled: tuple[str, ...] = ()  # names of what neither a state nor a reset fills, once its memory was emptied
    left_behind: tuple[str, ...] = ()  # names of arrays that do not move with the layer from device to device


class Life(Protocol):
    """One layer over several calls, with running statistics of its own. Raises `CallError` where the layer raises."""

    def call(self, case: Case, gradient: bool) -> Answer:
        """Call the layer in the case's mode. Its own statistics and momentum are used, not those of the case."""
        ...

    def do(self, operation: str) -> None:
        """An operation between two calls: a name from `programs` other than a batch."""
        ...

    def state(self) -> State:
        """The running statistics that the layer holds now."""
        ...


class ScriptLanguage(Protocol):
    """How a framework writes the script of a finding. Arguments are variable names and expressions, as text."""

    @property
    def framework(self) -> str:
        """The name of the framework."""
        ...

    def opening(self, format: str) -> tuple[str, ...]:
        """The first lines, for arrays of a format."""
        ...

    def array(self, values: Array, format: str, *, leaf: bool) -> str:
        """An expression for an array with these values; leaf: a gradient with respect to it is computed later."""
        ...

    def reduced(self, kind: str, values: str, axes: tuple[int, ...]) -> str:
        """The mean or the sum (kind) over axes, which are kept with size 1."""
        ...

    def square(self, values: str) -> str:
        """The square of each entry."""
        ...

    def root(self, values: str) -> str:
        """The square root of each entry."""
        ...

    def moved(self, array: str, source: int, destination: int) -> str:
        """An array with one axis moved to another place."""
        ...

    def compared(
        self, call: Sequence[str], names: Sequence[str], reference: tuple[str, str], leaf: str
    ) -> tuple[tuple[str, ...], str]:
        """The lines that call implementation and reference, and an expression for their largest difference in float64.

        call: lines, the last of which is `y = ...`. names: the arrays of the case, of x, weight and bias; the reference
        reads float64 copies of them, with names in capitals. reference: the input minus its mean, assigned to c, and
        the output computed from c. leaf: compare the gradients of this array for the cotangent dy; empty: the outputs.
        """
        ...


class Transformed(Protocol):
    """A module whose weight follows from a direction v and a length g. Raises `CallError` where the module raises."""

    def options(self) -> tuple[str, ...]:
        """The options that the transform takes: "name", of the parameter, and "dim", the axis of units."""
        ...

    def returned(self) -> Mapping[str, str]:
        """Under "returned", what the transform returned: "a module", or "None"."""
        ...

    def weight(self) -> Array:
        """The weight that the next forward pass uses, in training mode."""
        ...

    def evaluated(self) -> Array:
        """The weight that the next forward pass uses, in evaluation mode."""
        ...

    def trained(self) -> Mapping[str, Array]:
        """The parameters that an optimizer gets: "direction", "length", and any others under their own names."""
        ...

    def formats(self) -> Mapping[str, str]:
        """The format of each of these parameters."""
        ...

    def step(self, case: Case) -> None:
        """One step of gradient descent on all parameters; the case's dy is the cotangent of the weight."""
        ...

    def load(self, other: Case) -> None:
        """Load the state of another module, whose direction and length are those of the case."""
        ...

    def copy(self) -> None:
        """Go on with a deep copy of the module, whose own parameters are then overwritten."""
        ...

    def remove(self) -> str:
        """Make the weight a plain parameter again. Returns why this cannot be tried; empty if it was done."""
        ...


@dataclass(frozen=True, slots=True)
class Domain:
    """What an implementation accepts, found by trying it. The first rank and format suit every check."""

    ranks: tuple[int, ...] = (2, 3, 4)
    formats: tuple[str, ...] = tuple(FORMATS)
    refused_formats: tuple[str, ...] = ()  # those that its framework has, and on which it raises
    normalized: tuple[int, ...] = (1,)  # numbers of trailing axes
    affine: tuple[str, ...] = ("both",)  # parameters that may be given: both, weight, none, bias
    dims: tuple[int | None, ...] = (0,)
    sizes: Sizes | None = None  # of a layer whose sizes are fixed
    input_shapes: tuple[tuple[int, ...], ...] = ()  # that the contract names: they are asked beside the drawn ones
    refused: frozenset[int] = frozenset()  # numbers of members of a set on which it raises
    eps: float | None = None  # None: eps is an argument; else the fixed value
    empty: tuple[str, ...] = ("sets",)  # what an input may have zero of: sets, members of a set
    least_eps: float = 0.0  # the smallest eps accepted as an argument; 0: any
    most_eps: float = math.inf  # the largest one
    eps_measured: bool = False  # the outputs show the fixed value; else it is declared, an attribute, or assumed
    eps_place: str = ""  # of a fixed value that is a floor and not added, as the contract names it
    eps64: float | None = None  # the fixed value in float64 if it differs (machine epsilon of the format)
    layouts: tuple[str, ...] = NAMES[1:]  # of the input, other than contiguous
    watched: bool = True  # side effects of a call can be observed
    compiles_per_shape: bool = False  # each new shape or format costs a compilation, so few are drawn
    uses: tuple[str, ...] = uses.ALL  # names from `core.uses`: the ways in which it can be called
    own_parameters: bool = True  # parameters are arguments of the call, not kept in a module
    gradient: bool = True  # gradients can be computed
    training: bool = True  # can normalize by statistics of the batch
    evaluation: bool = False  # can normalize by running statistics
    evaluation_gradient: bool = True  # can compute gradients then, if it can at all
    state: bool = False  # updates running statistics
    operations: tuple[str, ...] = ()  # that one layer takes over several calls: names from `programs`
    spell: Callable[[Case], tuple[str, ...]] | None = None  # a case as lines of code; empty where it cannot be written
    language: ScriptLanguage | None = None  # of these lines
    absent: Mapping[str, str] = field(default_factory=dict)  # capability that is missing, to the reason
    notes: Mapping[str, str] = field(default_factory=dict)  # what binding found that is no fault and no lack

    @property
    def keeps_parameters(self) -> bool:
        """Whether the layer's parameters keep the values that they are constructed with."""
        return PARAMETERS in self.absent


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """An implementation of a normalizer, bound: ready to be called."""

    name: str
    normalizer: Normalizer
    contract: Contract
    domain: Domain
    call: Call
    live: Callable[[Case], Life] | None = None  # constructs a layer with the parameters and statistics of a case
    transformed: Callable[[Case], Transformed] | None = None  # transforms a module whose weight is the input of a case
    constructed: Callable[[Case], Constructed] | None = None  # constructs a layer as a case has parameters
    composed: Composed = None  # what its bits are compared with, if the contract demands it

    @property
    def entry(self) -> Normalizer:
        """The normalizer, as `core.subject.BoundSubject` names it."""
        return self.normalizer

    @property
    def absent(self) -> Mapping[str, str]:
        """Capabilities that are missing, each with the reason."""
        return self.domain.absent

    @property
    def notes(self) -> Mapping[str, str]:
        """What binding found that is no fault, each with an explanation."""
        return self.domain.notes
