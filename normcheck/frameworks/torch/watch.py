"""Side effects of a call: changes to its arguments, to earlier results, and to the state of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from normcheck.frameworks.shared_state import SharedState


def _memory(value: torch.Tensor) -> torch.Tensor:
    """All bytes of the storage of a tensor, including those outside a view."""
    return torch.empty(0, dtype=torch.uint8, device=value.device).set_(value.untyped_storage())


def _process() -> dict[str, Any]:
    """The state of torch that all code in the process shares, by description."""
    return {
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "the default dtype": torch.get_default_dtype(),
        "the grad mode": torch.is_grad_enabled(),
        "the number of threads": torch.get_num_threads(),
        "the deterministic flag": torch.are_deterministic_algorithms_enabled(),
    }


def _defects(y: torch.Tensor) -> Iterator[str]:
    """Defects of an output tensor as an object: overlapping memory, a subclass of Tensor."""
    places = torch.arange(y.untyped_storage().nbytes() // y.element_size(), device=y.device)
    if places.as_strided(y.shape, y.stride(), y.storage_offset()).unique().numel() < y.numel():
        yield "several entries of the output share memory"
    if type(y) not in (torch.Tensor, torch.nn.Parameter):
        yield f"the output is no plain tensor: {type(y).__name__}"


class Watch:
    """Records memory and process state before a call, and lists the differences after it."""

    def __init__(self, tensors: dict[str, torch.Tensor | None]) -> None:
        self._tensors = {name: (value, _memory(value).clone()) for name, value in tensors.items() if value is not None}
        # Advance the generator first: code that seeds with a constant may set the very state that it is in.
        self._random = torch.get_rng_state()
        torch.rand(3)
        self._shared, self._process = SharedState(), _process()

    def changed(self, y: torch.Tensor, call_again: Callable[[], Any]) -> tuple[str, ...]:
        """Descriptions of the changes. y: the output; call_again: makes another call, which must not change y."""
        out = [f"{name} was written to" for name, (value, before) in self._tensors.items()
               if not torch.equal(_memory(value), before)]  # fmt: skip
        storage = y.untyped_storage().data_ptr()
        out += [f"the output shares memory with {name}" for name, (value, _) in self._tensors.items()
                if value.untyped_storage().data_ptr() == storage]  # fmt: skip
        out += list(_defects(y))
        after = _process()
        out += [f"{name} was changed" for name, before in self._process.items() if after[name] != before]
        torch.set_rng_state(self._random)
        out += self._shared.changed()
        before_again = y.detach().clone()
        call_again()
        if not torch.equal(before_again.nan_to_num(), y.detach().nan_to_num()):
            out.append("a later call changed an earlier result")
        return tuple(out)
