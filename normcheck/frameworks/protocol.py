"""What normcheck needs of a framework: the one interface behind which torch, numpy and JAX are reached.

A framework turns a target into calls that answer cases. Loading targets, matching parameters by name, and finding out
by trial what an implementation accepts is the same code for all (`load`, `roles`, `binder`, `probe`). To add one:

1. write a module or package below `frameworks` with a value `FRAMEWORK` that fulfills `Framework`;
2. add one line to `registry.REGISTERED`;
3. let `normcheck.testing.framework` check it: that test-kit asks everything that is required here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from normcheck.core.floats import Array
from normcheck.frameworks.call_source import Spell
from normcheck.frameworks.roles import Binding, Parameter
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Life, ScriptLanguage, Transformed


@dataclass(frozen=True, slots=True)
class FunctionStyle:
    """How a function wants its arguments, where functions of one signature differ. The defaults are torch's own style.

    shape_as: the type in which `normalized_shape` is passed, tuple or int. always_state: running statistics are passed
    even where the case has none. flat_weight: the weight has one axis, even where it would keep the rank of the input
    to broadcast.
    """

    shape_as: type = tuple
    always_state: bool = False
    flat_weight: bool = False


@dataclass(frozen=True, slots=True)
class LayerParts:
    """The parameters and the state of a layer, by the names that the layer gives them; empty where it has none.

    weight, bias: parameters. running_mean, running_var: buffers. momentum: the attribute that holds the momentum.
    eps: the value of its attribute for eps, None where it has none.
    """

    weight: str = ""
    bias: str = ""
    running_mean: str = ""
    running_var: str = ""
    momentum: str = ""
    eps: float | None = None


Build = Callable[[Case], Any]
"""Builds a new layer for the sizes and options of a case. Raises `UsageError` where the class cannot be constructed."""


class Layers(Protocol):
    """Classes and instances that keep their parameters themselves, in frameworks that have such layers."""

    def is_layer(self, target: Any) -> bool:
        """Whether a loaded target is a layer class or a layer."""
        ...

    def is_class(self, target: Any) -> bool:
        """Whether a layer target is constructed for each case; otherwise it is an instance, and is copied."""
        ...

    def constructor(self, target: Any) -> list[Parameter]:
        """The parameters of the constructor, without those that the framework itself fills (random keys)."""
        ...

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A new layer. Raises whatever its constructor raises."""
        ...

    def copy(self, layer: Any) -> Any:
        """A copy of a layer that shares nothing with it."""
        ...

    def parts(self, layer: Any) -> LayerParts:
        """Which of its parameters and buffers play which role."""
        ...

    def sizes(self, layer: Any) -> Sizes | None:
        """The sizes that an instance cannot change; None where they are not known."""
        ...

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        """Answers cases with layers from `build`, whose parameters and state are set to those of the case.

        name: of the target, for messages. normalizer: says which axis of a case's input holds the channels, for
        frameworks whose layers have them elsewhere.
        """
        ...

    def operations(self, layer: Any, *, rebuilt: bool, cumulative: bool) -> Mapping[str, str]:
        """Every operation of `normalizers.programs` with the reason why this layer cannot be asked it, empty if it can.

        rebuilt: the layer comes from a class. cumulative: momentum None means a cumulative average.
        """
        ...

    def spell(
        self, target: Any, name: str, binding: Binding, shape_as: type, parameters: Mapping[str, str]
    ) -> Spell | None:
        """Writes the call of a layer of a class as lines of a script; None: not offered.

        shape_as: the type in which the constructor gets its sizes. parameters: role to the name in the layer.
        """
        ...

    def live(self, build: Build, name: str) -> Callable[[Case], Life] | None:
        """Layers that keep their state over several calls; None: not offered, state is passed from call to call."""
        ...


class Framework(Protocol):
    """One framework. Everything that is not offered is said by a reason, or by an empty tuple."""

    @property
    def name(self) -> str:
        """As in records and messages: "torch"."""
        ...

    @property
    def formats(self) -> tuple[str, ...]:
        """The floating-point formats of its arrays, by their names in `core.floats`."""
        ...

    @property
    def layouts(self) -> tuple[str, ...]:
        """The layouts in memory of `core.layouts`, beside contiguous, that its arrays can have; empty: not offered."""
        ...

    @property
    def styles(self) -> tuple[FunctionStyle, ...]:
        """How its functions want their arguments, in the order in which they are tried."""
        ...

    @property
    def uses(self) -> tuple[str, ...]:
        """The ways of calling of `core.uses`, beside the plain one, in which functions can be called."""
        ...

    @property
    def layer_uses(self) -> tuple[str, ...]:
        """The same of its layers."""
        ...

    @property
    def watched(self) -> bool:
        """Whether a call can report what it changed beside its result (`Answer.changed`)."""
        ...

    @property
    def layers(self) -> Layers | None:
        """Its layer classes; None: not offered."""
        ...

    @property
    def language(self) -> ScriptLanguage | None:
        """How the script is written that reproduces a finding without normcheck; None: not offered."""
        ...

    @property
    def absent(self) -> Mapping[str, str]:
        """What its arithmetic does not offer to any implementation, with the reason; measured, not assumed."""
        ...

    @property
    def compiles_per_shape(self) -> bool:
        """Whether each new shape or format costs a compilation, so that fewer of them are called."""
        ...

    @property
    def untimed(self) -> str:
        """Why speed and memory of its implementations are not measured; empty where they are (timing hooks exist)."""
        ...

    def settings(self) -> AbstractContextManager[None]:
        """The settings under which implementations are called, undone at the end: one thread, or 64-bit types."""
        ...

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Any:
        """An array of the framework with these float64 values, in a format and a layout."""
        ...

    def array(self, tensor: Any) -> Array:
        """The values of an array of the framework as a new float64 numpy array; exact in every format."""
        ...

    def format_of(self, tensor: Any) -> str:
        """The name of the format of an array of the framework."""
        ...

    def accepts(self, target: Any) -> str:
        """Why a loaded target is not one that this framework can call; empty where it is."""
        ...

    def parameters(self, target: Any, normalizer: Normalizer) -> tuple[Any, list[Parameter]]:
        """What to call for a function target, and its parameters, from its signature or whatever else tells them.

        Raises `UsageError` where nothing tells them.
        """
        ...

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        """Answers cases by calling a function with arrays of the framework, in the way that the case's use says.

        The call returns the output with its format, gradients of input, weight and bias where they are asked, and
        running statistics after the call. It raises `CallError`, in one sentence, for whatever the function raises
        and for results that are not an output.
        """
        ...

    def trial(self, call: Call) -> Call:
        """A cheaper call that raises for the cases for which a call raises, and returns nothing; or the call itself."""
        ...

    def transforming(self, function_: Any, binding: Binding, name: str) -> Transforming | None:
        """A function that takes a module and gives it another weight; None: not offered."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Transforming:
    """Calls of a function that transforms modules."""

    call: Call
    uses: tuple[str, ...]  # ways of calling that apply to it
    live: Callable[[Case], Transformed]  # a transformed module that is trained, saved and loaded
