"""Functions that transform a module, f(module, name="weight", dim=0), applied to a module that returns its weight."""

from __future__ import annotations

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
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Call, Transformed

ROLES = ("module", "name", "dim")

USES = (
    *uses.WITHOUT_GRADIENT,
    *uses.FROZEN,
    "rewritten storage",
    "accumulated gradient",
    uses.SECOND,
)
"""The ways of calling in which the leaves stay parameters of their module."""


class WeightModule(torch.nn.Module):
    """A module whose output is its weight."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def forward(self) -> torch.Tensor:
        return self.weight


WEIGHT = "weight"
"""The attribute that a transform replaces."""

RATE = 0.25
"""The learning rate of a training step: large enough to change every weight."""


def _direction_and_length(module: torch.nn.Module, case: Case, name: str) -> tuple[str, str]:
    """The names of the parameters direction v and length g that the transform created.

    They are distinguished by size, and by torch's names if the sizes are equal. A remaining parameter "weight" is
    neither. Raises `CallError` if there are no such two parameters.
    """
    assert case.weight is not None
    found = dict(module.named_parameters())
    names = [key for key in found if len(found) == 2 or key != WEIGHT]
    v = [key for key in names if tuple(found[key].shape) == case.x.shape]
    g = [key for key in names if found[key].numel() == case.weight.size]
    v.sort(key=lambda key: not key.endswith(("_v", "original1")))
    g.sort(key=lambda key: not key.endswith(("_g", "original0")))
    if not v or not g or v[0] == g[0] or len(names) != 2:
        shapes = {key: tuple(p.shape) for key, p in found.items()}
        raise CallError(f"{name} left the parameters {shapes}; expected a direction and a length for the weight")
    return v[0], g[0]


class _TorchTransformed:
    """A transformed module whose weight is the input of a case (`Transformed`)."""

    def __init__(self, transform: Callable[..., Any], binding: Binding, name: str, case: Case) -> None:
        plain = WeightModule(tensors.tensor(case.x, case))
        args, kwargs = binding.arguments({"module": plain, "name": WEIGHT, "dim": case.dim})
        module = guarded(lambda: transform(*args, **kwargs), case, name)
        if not isinstance(module, torch.nn.Module):
            raise CallError(f"{name} returned {type(module).__name__}; expected the module that it was given")
        self.module, self._case, self._name = module, case, name
        self._v, self._g = _direction_and_length(module, case, name)
        self._make = lambda other: _TorchTransformed(transform, binding, name, other)
        self._remover = _remover(transform, module)

    def pair(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The parameters direction v and length g."""
        found = dict(self.module.named_parameters())
        return found[self._v], found[self._g]

    def set_parameters(self, case: Case) -> None:
        """Set direction and length to the input and the weight of a case."""
        assert case.weight is not None
        v, g = self.pair()
        with torch.no_grad():
            v.copy_(tensors.tensor(case.x, case))
            g.copy_(tensors.tensor(case.weight.reshape(tuple(g.shape)), case))

    def _output(self) -> torch.Tensor:
        return tensors.output(guarded(self.module, self._case, self._name), self._case, self._name)

    def weight(self) -> Array:
        return tensors.array(self._output())

    def trained(self) -> Mapping[str, Array]:
        roles = {self._v: "direction", self._g: "length"}
        return {roles.get(key, key): tensors.array(p) for key, p in self.module.named_parameters()}

    def step(self, case: Case) -> None:
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        y = self._output()
        guarded(tensors.scalar_with_gradient(y, tensors.cotangent(case)).backward, case, self._name, IN_BACKWARD)
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
        guarded(lambda: self.module.load_state_dict(state), self._case, self._name, " in load_state_dict")

    def remove(self) -> str:
        if self._remover is None:
            return "its module has no function named remove_*"
        remover, activity = self._remover, " in its removal"
        restored = guarded(lambda: remover(self.module), self._case, self._name, activity)
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


def factory(transform: Callable[..., Any], binding: Binding, name: str) -> Callable[[Case], Transformed]:
    """A factory of transformed modules; the weight of each is the input of a case."""
    return lambda case: _TorchTransformed(transform, binding, name, case)


def make(transform: Callable[..., Any], binding: Binding, name: str) -> Call:
    """A call that transforms a new module, sets v and g to those of the case, and returns its weight."""

    def prepare(case: Case) -> PreparedLayer:
        transformed = _TorchTransformed(transform, binding, name, case)
        transformed.set_parameters(case)
        v, g = transformed.pair()
        return PreparedLayer(name, (v, g, None), lambda *leaves: transformed.module())

    return make_call(prepare)
