"""What every adapter offers: a subject that answers cases, and the domain on which it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from normcheck.core import uses
from normcheck.core.contract import Contract
from normcheck.core.floats import FORMATS, Array
from normcheck.core.layouts import NAMES
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What an implementation returned, in float64, with what was observed."""

    y: Array
    format: str  # of the output
    dx: Array | None = None
    dweight: Array | None = None
    dbias: Array | None = None
    running_mean: Array | None = None
    running_var: Array | None = None
    jv: Array | None = None  # derivative of y along the case's tangent v
    ddx: Array | None = None  # derivative of <dx, v> by x
    called: tuple[str, ...] = ()  # normalizing operators of the framework; listened to under the use "observed"
    kept_format: bool = True  # the output has the memory format of the input; seen under the use "observed"
    changed: tuple[str, ...] = ()  # what the call changed that is not its own; looked at if the case is watched


Call = Callable[[Case, bool], Answer]
"""Answers a case; the flag asks for gradients too. Raises `CallError` in one sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The running statistics of a layer, as it keeps them."""

    mean: Array
    var: Array
    format: str = ""  # in which they are kept; empty: not told
    count: int | None = None  # batches seen, where that can be read


class Life(Protocol):
    """One layer over several calls, which keeps its own running statistics. Raises `CallError` for what it refuses."""

    def call(self, case: Case, gradient: bool) -> Answer:
        """The answer in the case's mode; statistics and momentum of the case are not looked at."""
        ...

    def do(self, operation: str) -> None:
        """What happens between calls: a name from `programs` that is no batch."""
        ...

    def state(self) -> State: ...


class Transformed(Protocol):
    """A module whose weight follows from a direction v and a length g. Raises `CallError` for what it refuses."""

    def weight(self) -> Array:
        """The weight that a forward of the module uses."""
        ...

    def trained(self) -> Mapping[str, Array]:
        """What an optimizer is given: "direction", "length", and whatever else there is under its own name."""
        ...

    def step(self, case: Case) -> None:
        """One step of gradient descent on all parameters, with the case's cotangent for the weight."""
        ...

    def load(self, other: Case) -> None:
        """Load the state of another module, whose direction and length are those of a case."""
        ...

    def remove(self) -> str:
        """Make the weight a plain parameter again; why that cannot be tried, empty if it was done."""
        ...


@dataclass(frozen=True, slots=True)
class Domain:
    """What an implementation accepts, found by trying. The first rank and format are those that everything can use."""

    ranks: tuple[int, ...] = (2, 3, 4)
    formats: tuple[str, ...] = tuple(FORMATS)
    normalized: tuple[int, ...] = (1,)  # numbers of trailing axes
    affine: tuple[str, ...] = ("both",)  # which of both, weight, none, bias
    dims: tuple[int | None, ...] = (0,)
    sizes: Sizes | None = None  # where the implementation cannot change them
    refused: frozenset[int] = frozenset()  # members of a set that it raises on
    eps: float | None = None  # None: taken as an argument; else the fixed value
    empty: tuple[str, ...] = ("sets",)  # what an input may have none of: sets, members of a set
    least_eps: float = 0.0  # the smallest that it takes as an argument; 0 where it takes any
    eps64: float | None = None  # the fixed value in float64, where it is another (machine epsilon of the format)
    layouts: tuple[str, ...] = NAMES[1:]  # other than contiguous, that the input may have
    watched: bool = True  # what a call changes can be seen
    uses: tuple[str, ...] = uses.ALL  # ways to call it that can be tried
    own_parameters: bool = True  # parameters are arguments, not kept inside
    gradient: bool = True
    training: bool = True  # offers batch statistics
    evaluation: bool = False  # offers given statistics
    state: bool = False  # updates running statistics
    operations: tuple[str, ...] = ()  # what can happen to a layer that lives on: names from `programs`
    spell: Callable[[Case], tuple[str, ...]] | None = None  # a call as a user would write it
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """An implementation of a normalizer, bound and ready to answer."""

    name: str
    normalizer: Normalizer
    contract: Contract
    domain: Domain
    call: Call
    live: Callable[[Case], Life] | None = None  # a layer with the parameters and statistics of a case
    transformed: Callable[[Case], Transformed] | None = None  # a transform of a module whose weight is a case's input

    @property
    def entry(self) -> Normalizer:
        return self.normalizer

    @property
    def absent(self) -> Mapping[str, str]:
        return self.domain.absent
