"""The interface of a framework: everything that normcheck needs of torch, numpy or JAX.

A framework turns a target into functions that run it on cases. Loading targets, matching parameters by name, and
testing what an implementation accepts are the same code for all frameworks (`load`, `roles`, `binder`, `probe`). To
add a framework:

1. write a module or package below `frameworks` with a value `FRAMEWORK` that fulfills `Framework`;
2. add one line to `registry.REGISTERED`;
3. run `normcheck.testing.framework` on it: that test kit tests everything that is required here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.frameworks.call_source import Spell
from normcheck.frameworks.forms.form import FormArrays
from normcheck.frameworks.roles import Binding, Parameter
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed, Life, ScriptLanguage, Transformed


@dataclass(frozen=True, slots=True)
class FunctionStyle:
    """How arguments are passed to a function, where functions with the same signature differ; the defaults are torch's.

    shape_as: the type in which `normalized_shape` is passed, tuple or int. always_state: running statistics are passed
    even if the case has none. flat_weight: the weight is passed with one axis, even if the case's weight has the rank
    of the input to broadcast. weight_to_broadcast: weight and bias of channels are passed with the rank of the input,
    as (1, C, 1, 1), even if the case's have one axis.
    """

    shape_as: type = tuple
    always_state: bool = False
    flat_weight: bool = False
    weight_to_broadcast: bool = False


@dataclass(frozen=True, slots=True)
class LayerParts:
    """The names of the parameters and the state of a layer as its attributes; empty for those that it does not have.

    weight, bias: parameters. running_mean, running_var: buffers. momentum: the attribute that holds the momentum.
    eps: the value of its attribute for eps, None if it has no such attribute.
    """

    weight: str = ""
    bias: str = ""
    running_mean: str = ""
    running_var: str = ""
    momentum: str = ""
    eps: float | None = None


Build = Callable[[Case], Any]
"""Builds a new layer for the sizes and options of a case. Raises `UsageError` if the class cannot be constructed."""


class Layers(Protocol):
    """Layer classes and instances, which store their parameters, in frameworks that have them."""

    @property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        """Names that parameters of its constructors have in this framework alone, by role, beside `roles.NAMES`."""
        ...

    def is_layer(self, target: Any) -> bool:
        """Whether a loaded target is a layer class or a layer."""
        ...

    def is_class(self, target: Any) -> bool:
        """Whether a layer target is a class, constructed for each case; otherwise it is an instance and is copied."""
        ...

    def constructor(self, target: Any) -> list[Parameter]:
        """The parameters of the constructor, except those that the framework fills in, such as random keys."""
        ...

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A new layer. Raises any exception that its constructor raises."""
        ...

    def copy(self, layer: Any) -> Any:
        """A copy of a layer that shares no memory with it."""
        ...

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        """The layer, after a first call if it takes the sizes of its parameters from that.

        normalizer: as for `call`. Raises `CallError` if that call fails.
        """
        ...

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        """Notes with the names of what is in a layer and belongs to no role.

        What a training batch changes, except running statistics and counts of batches; parameters that the output
        depends on.
        """
        ...

    def parts(self, layer: Any) -> LayerParts:
        """The parameters and buffers of a layer by role."""
        ...

    def sizes(self, layer: Any) -> Sizes | None:
        """The sizes for which an instance was constructed; None if they are not known."""
        ...

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        """A call that runs a layer from `build` with the parameters and state of the case.

        name: of the target, for messages. normalizer: tells which axis of the input holds the channels, for frameworks
        whose layers have them in another one.
        """
        ...

    def of_weight(self, target: Any) -> Callable[..., Any] | None:
        """What a class of linear or convolutional layers makes of its weight, as a function of v and g; None of others.

        A framework whose layers are not read so returns None.
        """
        ...

    def constructed(self, layer: Any, case: Case) -> Constructed:
        """The values with which a new layer starts, without parameters that a case leaves out and that take no part."""
        ...

    def operations(self, layer: Any, *, rebuilt: bool, cumulative: bool) -> Mapping[str, str]:
        """Every operation of `normalizers.programs` with the reason why a layer does not support it, empty if it does.

        rebuilt: the layer can be constructed again from a class. cumulative: momentum None means a cumulative average.
        """
        ...

    def spell(
        self,
        target: Any,
        name: str,
        binding: Binding,
        shape_as: type,
        parameters: Mapping[str, str],
        normalizer: Normalizer,
    ) -> Spell | None:
        """Source of construction and call of a layer class; None: not supported.

        shape_as: the type of the sizes that the constructor gets. parameters: the names in the layer for the roles
        weight, bias, running_mean and running_var. normalizer: as for `call`.
        """
        ...

    def live(self, build: Build, name: str) -> Callable[[Case], Life] | None:
        """A factory of layers that keep their state over several calls; None: not supported.

        Without it, running statistics are passed from call to call.
        """
        ...


class Framework(Protocol):
    """One framework. What it does not support is expressed by an empty tuple, None, or a reason as text."""

    @property
    def name(self) -> str:
        """The name in records and messages, such as "torch"."""
        ...

    @property
    def formats(self) -> tuple[str, ...]:
        """The floating-point formats that its arrays can have, by their names in `core.floats`."""
        ...

    @property
    def layouts(self) -> tuple[str, ...]:
        """The memory layouts of `core.layouts`, except contiguous, that its arrays can have; empty: not supported."""
        ...

    @property
    def styles(self) -> tuple[FunctionStyle, ...]:
        """The styles in which arguments are passed to its functions, in the order in which they are tried."""
        ...

    @property
    def uses(self) -> tuple[str, ...]:
        """The ways of `core.uses`, except the plain one, in which functions can be called."""
        ...

    @property
    def layer_uses(self) -> tuple[str, ...]:
        """The same for layers."""
        ...

    @property
    def watched(self) -> bool:
        """Whether a call reports its side effects (`Answer.changed`)."""
        ...

    @property
    def layers(self) -> Layers | None:
        """The operations on layers; None: not supported."""
        ...

    @property
    def language(self) -> ScriptLanguage | None:
        """How scripts that reproduce a finding without normcheck are written; None: not supported."""
        ...

    @property
    def absent(self) -> Mapping[str, str]:
        """What its arithmetic does not offer to any implementation, with the reason; measured, not assumed."""
        ...

    @property
    def compiles_per_shape(self) -> bool:
        """Whether each new shape or format costs a compilation, so that checks draw fewer of them."""
        ...

    @property
    def form_arrays(self) -> FormArrays | None:
        """What calls of code of a form need of its arrays; None: not supported."""
        ...

    @property
    def untimed(self) -> str:
        """Why speed and memory of its implementations are not measured; empty if they are (`bench` has the hooks)."""
        ...

    def settings(self) -> AbstractContextManager[None]:
        """A context with the settings under which implementations are called, such as one thread or 64-bit types."""
        ...

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Any:
        """An array of the framework with the given float64 values, in a format and a memory layout."""
        ...

    def array(self, tensor: Any) -> Array:
        """The values of an array of the framework as a new float64 numpy array, exact in every format."""
        ...

    def format_of(self, tensor: Any) -> str:
        """The name of the format of an array of the framework."""
        ...

    def accepts(self, target: Any) -> str:
        """Why this framework cannot call a loaded target, as the end of "TARGET is ..."; empty if it can."""
        ...

    def parameters(self, target: Any, normalizer: Normalizer) -> tuple[Any, list[Parameter]]:
        """The object to call for a function target, and its parameters, from its signature or an equivalent source.

        Raises `UsageError` if the parameters cannot be determined.
        """
        ...

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        """A call that runs a function on arrays of the framework, in the way that the case's use names.

        The call returns the output with its format, the gradients of input, weight and bias if they are requested,
        and the running statistics after the call. It raises `CallError`, in one sentence, for every exception of the
        function and for return values that are not a valid output.
        """
        ...

    def unsupported(self, target: Any) -> Mapping[str, str]:
        """The uses that fail for every target of this kind, whatever its code, with the reason; measured."""
        ...

    def trained_only(self, function_: Any, normalizer: Normalizer) -> bool:
        """Whether gradients come from a backward function that gets no mode, so that it may be for training only."""
        ...

    def composition(self, normalizer: Normalizer, contract: Contract) -> Call | None:
        """The composition of its basic operators (`normalizers.composition`) as a call; None: not supported."""
        ...

    def trial(self, call: Call) -> Call:
        """A cheaper call that raises for the same cases as the given one, without a result; or the given call."""
        ...

    def transforming(self, function_: Any, binding: Binding, name: str) -> Transforming | None:
        """The target as a function that transforms the weight of a module; None: not supported."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Transforming:
    """How to call a function that transforms the weight of a module."""

    call: Call
    uses: tuple[str, ...]  # the ways of `core.uses` that apply to it
    live: Callable[[Case], Transformed]  # a factory of transformed modules that can be trained, saved and loaded
