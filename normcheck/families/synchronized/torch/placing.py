"""How a process is given its shard: as a plain tensor, or as its part of a DTensor on a mesh of all processes."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import torch
import torch.distributed as dist

from normcheck.core.device import DEVICE
from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.families.synchronized.case import RankCase
from normcheck.frameworks.torch.tensors import DTYPES

NEEDED = ("torch._dynamo:disable", "torch.distributed.tensor:distribute_module")
"""What takes seconds to import."""


class Placing(Protocol):
    """How arrays of a case become tensors, and how what was returned becomes this process's part again.

    axis: the one along which an array is divided among the processes; None where every process has all of it.
    """

    def size(self, own: int, case: RankCase) -> int:
        """The size of the divided axis as the code under test sees it; own: of this process's part."""
        ...

    def given(self, values: Array, case: RankCase, axis: int | None) -> torch.Tensor:
        """A new tensor that the code under test is given."""
        ...

    def local(self, tensor: torch.Tensor, axis: int | None) -> torch.Tensor:
        """This process's part of a tensor."""
        ...

    def layer(self, module: torch.nn.Module, axis: int | None) -> torch.nn.Module:
        """A module with its parameters placed."""
        ...

    def output(self, y: torch.Tensor, case: RankCase, name: str) -> tuple[torch.Tensor, str]:
        """The output in the placement of the input, and the placement that it was returned in if that is another."""
        ...


class LocalTensors:
    """Each process has its shard as a plain tensor (`Placing`)."""

    def size(self, own: int, case: RankCase) -> int:
        return own

    def given(self, values: Array, case: RankCase, axis: int | None) -> torch.Tensor:
        return _tensor(values, case)

    def local(self, tensor: torch.Tensor, axis: int | None) -> torch.Tensor:
        return tensor

    def layer(self, module: torch.nn.Module, axis: int | None) -> torch.nn.Module:
        return module

    def output(self, y: torch.Tensor, case: RankCase, name: str) -> tuple[torch.Tensor, str]:
        if tuple(y.shape) != case.x.shape:
            raise _other_shape(name, tuple(y.shape), case.x.shape)
        return y, ""


class MeshTensors:
    """Each process has its part of a DTensor, on a mesh of all processes (`Placing`)."""

    @cached_property
    def mesh(self) -> Any:
        from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415  # half a second of imports

        return init_device_mesh(torch.device(DEVICE.get()).type, (dist.get_world_size(),))

    def _placement(self, axis: int | None) -> list[Any]:
        from torch.distributed.tensor import Replicate, Shard  # noqa: PLC0415  # as above

        return [Replicate() if axis is None else Shard(axis)]

    def size(self, own: int, case: RankCase) -> int:
        return case.total

    def given(self, values: Array, case: RankCase, axis: int | None) -> torch.Tensor:
        from torch.distributed.tensor import DTensor  # noqa: PLC0415  # as above

        own = _tensor(values, case)
        if axis is None:
            return DTensor.from_local(own, self.mesh, self._placement(None), run_check=False)
        shape = torch.Size([*own.shape[:axis], case.total, *own.shape[axis + 1 :]])
        stride = torch.empty(shape, device="meta").stride()
        return DTensor.from_local(
            own, self.mesh, self._placement(axis), run_check=False, shape=shape, stride=stride
        )  # fmt: skip

    def local(self, tensor: torch.Tensor, axis: int | None) -> torch.Tensor:
        made: Any = tensor
        here: torch.Tensor = made.redistribute(self.mesh, self._placement(axis)).to_local()
        return here

    def layer(self, module: torch.nn.Module, axis: int | None) -> torch.nn.Module:
        from torch.distributed.tensor import distribute_module, distribute_tensor  # noqa: PLC0415  # as above

        def part(name: str, one: torch.nn.Module, mesh: Any) -> None:
            for key, value in list(one.named_parameters(recurse=False)):
                placed = distribute_tensor(value.detach(), mesh, self._placement(axis))
                one.register_parameter(key, torch.nn.Parameter(placed))

        return distribute_module(module, self.mesh, part)

    def output(self, y: torch.Tensor, case: RankCase, name: str) -> tuple[torch.Tensor, str]:
        from torch.distributed.tensor import DTensor  # noqa: PLC0415  # as above

        whole = case.x.shape
        if case.axis is not None:
            whole = (*whole[: case.axis], case.total, *whole[case.axis + 1 :])
        if not isinstance(y, DTensor):
            raise CallError(f"{name} returned a plain tensor where its input is a DTensor", "returned a plain tensor")
        if tuple(y.shape) != whole:
            raise _other_shape(name, tuple(y.shape), whole)
        placement, named = self._placement(case.axis), ", ".join(map(repr, y.placements))
        if tuple(y.to_local().shape) != self._part(whole, y.placements[0]):
            said = f"returned a DTensor in {named} with parts of shape {tuple(y.to_local().shape)}, which do not fit it"
            raise CallError(f"{name} {said}", said)
        if list(y.placements) == placement:
            return y, ""
        made: Any = y.redistribute(self.mesh, placement)
        return made, named

    def _part(self, shape: tuple[int, ...], placement: Any) -> tuple[int, ...]:
        """The shape of this process's part of a tensor: shards are those of torch.chunk."""
        if not placement.is_shard():
            return shape
        axis, ranks = placement.dim, dist.get_world_size()
        size = -(-shape[axis] // ranks)
        own = max(0, min(size, shape[axis] - size * dist.get_rank()))
        return (*shape[:axis], own, *shape[axis + 1 :])


def _tensor(values: Array, case: RankCase) -> torch.Tensor:
    return torch.tensor(values.copy(), dtype=DTYPES[case.format], device=DEVICE.get())


def _other_shape(name: str, got: tuple[int, ...], shape: tuple[int, ...]) -> CallError:
    said = f"returned a tensor of shape {got} for an input of shape {shape}"
    return CallError(f"{name} {said}: it must have the input's shape", said)
