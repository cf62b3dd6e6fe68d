"""What forms need of torch's tensors (`frameworks.forms.form.FormArrays`)."""

from __future__ import annotations

from typing import Any

import torch

from normcheck.core.floats import Array
from normcheck.frameworks.torch import tensors


class TorchFormArrays:
    """Tensors on the device of the input."""

    def like(self, values: Array, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(values).to(x.device, x.dtype)

    def counts(self, values: Array, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(values).to(x.device, torch.int64)

    def exact(self, values: Array, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(values).to(x.device, torch.float64)

    def numbers(self, x: torch.Tensor) -> Array:
        return tensors.array(x)

    def constant(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach()

    def joined(self, first: torch.Tensor, second: torch.Tensor, axis: int) -> torch.Tensor:
        return torch.cat((first, second), axis)

    def moved(self, x: torch.Tensor, source: int, destination: int) -> torch.Tensor:
        return x.movedim(source, destination).contiguous()

    def is_array(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor)

    def format_of(self, x: torch.Tensor) -> str:
        return tensors.format_of(x)
