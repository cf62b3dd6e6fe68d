"""Side effects of a call: changes to its arguments, to earlier results, and to the state of the process."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch


def _memory(value: torch.Tensor) -> torch.Tensor:
    """All bytes of the storage of a tensor, including those outside a view."""
    return torch.empty(0, dtype=torch.uint8, device=value.device).set_(value.untyped_storage())


def _process() -> dict[str, Any]:
    """The state that all code in the process shares, by description."""
    return {
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "numpy's random state": np.random.get_state()[1].tobytes(),  # type: ignore[index]  # noqa: NPY002
        "python's random state": random.getstate(),
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
        # Advance the generators first: code that seeds with a constant may set the very state that they are in.
        self._random = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        torch.rand(3)
        np.random.random(3)  # noqa: NPY002
        random.random()  # noqa: S311
        self._process = _process()
        self._threads = set(threading.enumerate())

    def changed(self, y: torch.Tensor, call_again: Callable[[], Any]) -> tuple[str, ...]:
        """Descriptions of the changes. y: the output; call_again: makes another call, which must not change y."""
        out = [f"{name} was written to" for name, (value, before) in self._tensors.items()
               if not torch.equal(_memory(value), before)]  # fmt: skip
        storage = y.untyped_storage().data_ptr()
        out += [f"the output shares memory with {name}" for name, (value, _) in self._tensors.items()
                if value.untyped_storage().data_ptr() == storage]  # fmt: skip
        out += list(_defects(y))
        if set(threading.enumerate()) - self._threads:
            out.append("a thread was left running")
        after = _process()
        out += [f"{name} was changed" for name, before in self._process.items() if after[name] != before]
        torch.set_rng_state(self._random[0])
        np.random.set_state(self._random[1])  # noqa: NPY002
        random.setstate(self._random[2])
        before_again = y.detach().clone()
        call_again()
        if not torch.equal(before_again.nan_to_num(), y.detach().nan_to_num()):
            out.append("a later call changed an earlier result")
        return tuple(out)
