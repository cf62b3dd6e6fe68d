"""Functions that transform a module, f(module, name="weight", dim=0), applied to a module that returns its weight."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from normcheck.core import uses
from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.core.floats import Array
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.roles import Binding, from_signature
from normcheck.frameworks.torch import tensors
from normcheck.frameworks.torch.layer import PreparedLayer
from normcheck.frameworks.torch.uses import make as make_call
from normcheck.normalizers.case import WEIGHT, Case
from normcheck.normalizers.subject import Call, Transformed

ROLES = ("module", "name", "dim")

USES = (
    *uses.WITHOUT_GRADIENT,
    *uses.COPIES,
    *uses.FROZEN,
    "rewritten storage",
    "accumulated gradient",
    uses.SECOND,
)
"""The ways of calling in which the leaves stay parameters of their module."""


class WeightModule(torch.nn.Module):
    """A module whose output is one of its parameters; if it has another name than "weight", there is a weight too."""

    def __init__(self, value: torch.Tensor, name: str = WEIGHT) -> None:
        super().__init__()
        self._output = name
        self.register_parameter(name, torch.nn.Parameter(value))
        if name != WEIGHT:
            self.register_parameter(WEIGHT, torch.nn.Parameter(1.5 - value.detach()))

    def forward(self) -> torch.Tensor:
        out: torch.Tensor = getattr(self, self._output)
        return out


RATE = 0.25
"""The learning rate of a training step: large enough to change every weight."""


def _direction_and_length(module: torch.nn.Module, case: Case) -> tuple[str, str]:
    """The names of the parameters direction v and length g that the transform created.

    They are distinguished by size, and by torch's names if the sizes are equal. If there are more than two, one that
    still has the name of the replaced parameter is neither. Two empty names if there are no such two parameters.
    """
    found = dict(module.named_parameters())
    own = [key for key in found if key == case.parameter or key != WEIGHT]
    names = own if len(own) == 2 else [key for key in own if key != case.parameter]
    fits = {key: tuple(found[key].shape) == case.x.shape for key in names}
    if sum(fits.values()) == 2:
        fits = {key: key.endswith(("_v", "original1")) for key in names}
    v, g = ([key for key in names if fits[key] is direction] for direction in (True, False))
    return (v[0], g[0]) if len(v) == len(g) == 1 else ("", "")


class _TorchTransformed:
    """A transformed module whose weight is the input of a case (`Transformed`)."""

    def __init__(self, transform: Callable[..., Any], binding: Binding, target: str, case: Case) -> None:
        plain = WeightModule(tensors.tensor(case.x, case), case.parameter)
        args, kwargs = binding.arguments({"module": plain, "name": case.parameter, "dim": case.dim})
        returned = guarded(lambda: transform(*args, **kwargs), case, target)
        if returned is not None and not isinstance(returned, torch.nn.Module):
            raise CallError(f"{target} returned {type(returned).__name__}; expected the module that it was given")
        self._options = tuple(option for option in ("name", "dim") if option in binding.roles)
        self._returned = "None" if returned is None else "a module"
        self.module: torch.nn.Module = plain if returned is None else returned
        self._case, self._target = case, target
        self._v, self._g = _direction_and_length(self.module, case)
        self._make = lambda other: _TorchTransformed(transform, binding, target, other.but(parameter=case.parameter))
        self._remover = _remover(transform, self.module)

    def options(self) -> tuple[str, ...]:
        return self._options

    def returned(self) -> Mapping[str, str]:
        return {"returned": self._returned}

    def pair(self, module: torch.nn.Module | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """The parameters direction v and length g of the module, or of a copy of it.

        Raises `CallError` if there are none, or if g has another number of entries than the weight of the case.
        """
        found = dict((self.module if module is None else module).named_parameters())
        weight = self._case.weight
        if not self._v or (weight is not None and found[self._g].numel() != weight.size):
            shapes = {key: tuple(p.shape) for key, p in found.items()}
            raise CallError(
                f"{self._target} left the parameters {shapes}; expected a direction and a length for the weight"
            )
        return found[self._v], found[self._g]

    def set_parameters(self, case: Case) -> None:
        """Set direction and length to the input and the weight of a case."""
        assert case.weight is not None
        v, g = self.pair()
        with torch.no_grad():
            v.copy_(tensors.tensor(case.x, case))
            g.copy_(tensors.tensor(case.weight.reshape(tuple(g.shape)), case))

    def _output(self) -> torch.Tensor:
        return tensors.output(guarded(self.module, self._case, self._target), self._case, self._target)

    def weight(self) -> Array:
        self.module.train()
        return tensors.array(self._output())

    def evaluated(self) -> Array:
        self.module.eval()
        return tensors.array(self._output())

    def _parameters(self) -> Mapping[str, torch.Tensor]:
        roles = {self._v: "direction", self._g: "length"}
        return {roles.get(key, key): value for key, value in self.module.named_parameters()}

    def trained(self) -> Mapping[str, Array]:
        return {key: tensors.array(value) for key, value in self._parameters().items()}

    def formats(self) -> Mapping[str, str]:
        return {key: tensors.format_of(value) for key, value in self._parameters().items()}

    def step(self, case: Case) -> None:
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        self.module.train()
        y = self._output()
        guarded(tensors.scalar_with_gradient(y, tensors.cotangent(case)).backward, case, self._target, IN_BACKWARD)
        with torch.no_grad():  # no optimizer of torch: importing one imports the compiler
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.sub_(RATE * parameter.grad)
                parameter.grad = None

    def load(self, other: Case) -> None:
        source = self._make(other)
        source.set_parameters(other)
        source.weight()  # updates what the module keeps between calls
        state = source.module.state_dict()
        guarded(lambda: self.module.load_state_dict(state), self._case, self._target, " in load_state_dict")

    def copy(self) -> None:
        old = self.module
        self.module = guarded(lambda: copy.deepcopy(old), self._case, self._target, " in a deep copy of its module")
        with torch.no_grad():
            for parameter in old.parameters():
                parameter.copy_(0.5 - 1.5 * parameter)

    def remove(self) -> str:
        if self._remover is None:
            return "its module has no function named remove_*"
        remover, activity = self._remover, " in its removal"
        restored = guarded(lambda: remover(self.module), self._case, self._target, activity)
        self.module = restored if isinstance(restored, torch.nn.Module) else self.module
        return ""


def _remover(transform: Callable[..., Any], module: torch.nn.Module) -> Callable[[torch.nn.Module], Any] | None:
    """The function that undoes a transform: torch's for parametrizations, else a function remove_* of its module."""
    from torch.nn.utils import parametrize  # noqa: PLC0415  # slow to import, and only transforms need it

    if parametrize.is_parametrized(module, WEIGHT):
        return lambda m: parametrize.remove_parametrizations(m, WEIGHT)
    namespace: Mapping[str, Any] = getattr(inspect.unwrap(transform), "__globals__", {})
    expected = f"remove_{getattr(transform, '__name__', '')}"
    names = sorted((key for key, value in namespace.items() if key.startswith("remove_") and callable(value)),
                   key=lambda key: key != expected)  # fmt: skip
    if not names:
        return None
    remove = namespace[names[0]]
    takes_name = len([p for p in from_signature(remove) or () if p.required or p.name == "name"]) > 1
    return lambda m: remove(m, WEIGHT) if takes_name else remove(m)


def factory(transform: Callable[..., Any], binding: Binding, target: str) -> Callable[[Case], Transformed]:
    """A factory of transformed modules; the weight of each is the input of a case."""
    return lambda case: _TorchTransformed(transform, binding, target, case)


def make(transform: Callable[..., Any], binding: Binding, target: str) -> Call:
    """A call that transforms a new module, sets v and g to those of the case, and returns its weight."""

    def prepare(case: Case) -> PreparedLayer:
        transformed = _TorchTransformed(transform, binding, target, case)
        transformed.set_parameters(case)

        def layer(module: torch.nn.Module) -> PreparedLayer:
            v, g = transformed.pair(module)
            return PreparedLayer(target, (v, g, None), lambda *leaves: module(), module=module, rebuilt=layer)

        return layer(transformed.module)

    return make_call(prepare)
