"""Conversion between arrays of cases and torch tensors: formats, strides and gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch

from normcheck.core.device import DEVICE
from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.core.floats import FORMATS, Array
from normcheck.core.layouts import geometry
from normcheck.core.uses import WIDE, WIDENED
from normcheck.frameworks.guard import guarded
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in FORMATS}
"""Name of each format to its dtype."""

NAMES = {dtype: name for name, dtype in DTYPES.items()}
"""Each dtype to the name of its format."""


def dtype_of(case: Case, name: str) -> torch.dtype:
    """The dtype of an array of the case, by its name; under the use `WIDE` some are wider than the input."""
    wide = case.use == WIDE and name in WIDENED
    return DTYPES[case.format.wide.name if wide else case.format.name]


def tensor(array: Array, case: Case, name: str = "x") -> torch.Tensor:
    """A new contiguous tensor with the dtype that the array of that name has in the case."""
    return _new(array, dtype_of(case, name))


def _new(array: Array, dtype: torch.dtype) -> torch.Tensor:
    """A new contiguous tensor of a dtype with the values of an array."""
    return torch.from_numpy(np.array(array, order="C")).to(DEVICE.get(), dtype)


def array(value: torch.Tensor) -> Array:
    """The values of a tensor as a new float64 array."""
    out: Array = value.detach().to("cpu", torch.float64, copy=True).numpy()  # copied: a buffer changes at the next call
    return out


def format_of(value: torch.Tensor) -> str:
    """The name of a tensor's dtype, as `core.floats` and torch spell it."""
    return NAMES.get(value.dtype, str(value.dtype).removeprefix("torch."))


def placed(values: Array, case: Case, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """An array of the case as a tensor in its layout, and the buffer that contains it, filled with NaN."""
    return tensor_in_layout(values, dtype_of(case, name), case.layout(name))


def tensor_in_layout(values: Array, dtype: torch.dtype, layout: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A tensor with the given values in a layout, and the buffer that contains it, filled with NaN.

    Raises `CallError` for a layout that no tensor can have.
    """
    shape = tuple(values.shape)
    place = geometry(shape, layout)
    if min(place.strides, default=0) < 0:
        raise CallError(f"torch has no tensors with negative strides, as in the layout {layout!r}")
    buffer = torch.full((place.length,), float("nan"), dtype=dtype, device=DEVICE.get())
    view = buffer.as_strided(shape, place.strides, place.offset)
    contiguous = _new(values, dtype)
    if 0 in place.strides and values.size:  # expanded arrays have equal rows, so one is stored
        view[:1].copy_(contiguous[:1])
    else:
        view.copy_(contiguous)
    return view, buffer


def given(values: Array | None, case: Case, name: str) -> torch.Tensor | None:
    """An array of the case as the tensor that is passed to the call, in its layout; None stays None."""
    if values is None:
        return None
    return tensor(values, case, name) if case.layout(name) == "contiguous" else placed(values, case, name)[0]


def cotangent(case: Case) -> torch.Tensor:
    """The cotangent dy of the output, in the case's layout."""
    assert case.dy is not None, "the case has no cotangent"
    if case.layout("dy") == "expanded":  # one value with all strides 0, as in the backward pass of y.sum()
        return tensor(case.dy, case).flatten()[:1].reshape((1,) * case.dy.ndim).expand(case.dy.shape)
    dy = given(case.dy, case, "dy")
    assert dy is not None
    return dy


def _values(value: Any) -> tuple[Any, ...]:
    """The values in a return value: of a tuple, list or mapping, or that value itself."""
    return tuple(
        value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else [value]
    )


def packed(value: Any, case: Case, *, several: bool) -> str:
    """What a return value is, if it is more than a tensor; empty if the output in it is clear.

    several: a tuple with one tensor of the input's shape is clear, as functions return it with their statistics.
    """
    if isinstance(value, torch.Tensor):
        return ""
    found = [one for one in _values(value) if isinstance(one, torch.Tensor) and tuple(one.shape) == case.x.shape]
    return "" if several and len(found) < 2 else f"{type(value).__name__} of {len(_values(value))} values"


def output(value: Any, case: Case, name: str) -> torch.Tensor:
    """The normalized tensor in a return value: the value itself, or the first of several with the input's shape.

    Raises `CallError` if there is none.
    """
    candidates = _values(value)
    tensors = [v for v in candidates if isinstance(v, torch.Tensor)]
    shape = tuple(case.x.shape)
    for one in tensors:
        if tuple(one.shape) == shape or not case.x.size:  # for an empty input, a check compares the shape
            return one
    if tensors and not case.x.size:  # any shape: the check of empty inputs judges it
        return tensors[0]
    found = f"a tensor of shape {tuple(tensors[0].shape)}" if tensors else f"{type(value).__name__}, not a tensor"
    raise CallError(f"{name} returned {found} for an input of shape {shape}; the output must have the input's shape")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run torch with so many threads, and then with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread() -> AbstractContextManager[None]:
    """Run torch with one thread: cases are small, and threads would spend more time waiting than computing."""
    return threads(1)


class _PassCotangent(torch.autograd.Function):
    """A scalar whose gradient with respect to y is the given cotangent object itself, with its strides.

    `torch.autograd.grad(y, ..., dy)` would do the same, but to compare sizes it imports torch's symbolic shapes, which
    takes most of a second.
    """

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
        ctx.dy = dy
        return y.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return ctx.dy, None


def scalar_with_gradient(y: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
    """A scalar whose backward pass passes the cotangent dy to y."""
    out: torch.Tensor = _PassCotangent.apply(y, dy)
    return out


def gradients(
    y: torch.Tensor,
    leaves: Sequence[torch.Tensor | None],
    case: Case,
    name: str,
    dy: torch.Tensor | None = None,
    *,
    again: bool = False,
) -> list[Array | None]:
    """The gradients of the leaves for the case's cotangent or `dy`, None for a leaf that is None.

    again: keep the graph of y for another backward pass.

    A leaf that is not in the graph of y has gradient zero; if y has no graph, all gradients are None.

    Raises `CallError` if the backward pass raises, or returns a gradient of another shape.
    """
    if not y.requires_grad:
        return [None for _ in leaves]
    requested = [leaf for leaf in leaves if leaf is not None]
    returned = guarded(
        lambda: torch.autograd.grad(
            scalar_with_gradient(y, cotangent(case) if dy is None else dy),
            requested,
            allow_unused=True,
            retain_graph=again,
        ),
        case,
        name,
        IN_BACKWARD,
    )
    remaining = iter(returned)
    out: list[Array | None] = []
    for leaf in leaves:
        if leaf is None:
            out.append(None)
            continue
        value = next(remaining)
        if value is not None and value.shape != leaf.shape:
            raise CallError(
                f"{name} returned a gradient of shape {tuple(value.shape)} for a tensor of shape {tuple(leaf.shape)}"
            )
        out.append(np.zeros(tuple(leaf.shape)) if value is None else array(value))
    return out


def answer(y: torch.Tensor, grads: Sequence[Array | None], buffers: Sequence[torch.Tensor | None]) -> Answer:
    """The `Answer` from an output, its gradients, and running mean and variance, all as float64 arrays."""
    dx, dweight, dbias = grads
    mean, var = (None if b is None else array(b) for b in buffers)
    return Answer(array(y), format_of(y), dx, dweight, dbias, mean, var)
