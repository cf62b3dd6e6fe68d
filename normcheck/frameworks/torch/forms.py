"""What forms need of torch's tensors (`frameworks.forms.form.FormArrays`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from normcheck.core.floats import Array
from normcheck.frameworks.torch import tensors


class _Called(torch.nn.Module):
    """A module that runs a call of a layer, whose parameters are its own."""

    def __init__(self, layer: torch.nn.Module, call: Callable[[], Any]) -> None:
        super().__init__()
        self.layer, self.call = layer, call

    def forward(self) -> Any:
        return self.call()


class TorchFormArrays:
    """Tensors on the device of the input."""

    def like(self, values: Array, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(values).to(x.device, x.dtype)

    def counts(self, values: Array, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(values).to(x.device, torch.int64)

    def offsets(self, values: Array, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(values).to(x.device, torch.int32)

    def exact(self, values: Array, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(values).to(x.device, torch.float64)

    def numbers(self, x: torch.Tensor) -> Array:
        return tensors.array(x)

    def constant(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach()

    def joined(self, first: torch.Tensor, second: torch.Tensor, axis: int) -> torch.Tensor:
        return torch.cat((first, second), axis)

    def taken(self, x: torch.Tensor, places: Sequence[Array]) -> torch.Tensor:
        return x[tuple(self.counts(one, x) for one in places)]

    def moved(self, x: torch.Tensor, source: int, destination: int) -> torch.Tensor:
        return x.movedim(source, destination).contiguous()

    def parameters(self, layer: torch.nn.Module) -> Mapping[str, torch.Tensor]:
        return dict(layer.named_parameters())

    def with_parameters(
        self, layer: torch.nn.Module, values: Mapping[str, torch.Tensor], call: Callable[[], Any]
    ) -> Any:
        inside = {f"layer.{name}": value for name, value in values.items()}
        return torch.func.functional_call(_Called(layer, call), inside, ())

    def overwrite(self, x: torch.Tensor, value: float) -> None:
        if not x.requires_grad:
            x.fill_(value)

    def is_array(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor)

    def format_of(self, x: torch.Tensor) -> str:
        return tensors.format_of(x)
