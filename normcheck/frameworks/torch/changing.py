"""What a call in training changes in a module, and lazy modules, which a first call completes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from normcheck.core.device import DEVICE
from normcheck.core.errors import CallError
from normcheck.core.foreign_code import ENDS, attribute
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.roles import plain
from normcheck.frameworks.torch import tensors
from normcheck.frameworks.torch.module import buffers, copied, parameter_names
from normcheck.normalizers.case import Case

COUNTS = ("num_batches_tracked", "batches_tracked", "num_batches", "n_batches", "batches_seen")
"""Names of the attribute or buffer in which modules count training batches."""

MANY_BATCHES = 1_000_000
"""A count at which every schedule over the first batches has come to its end."""


def materialized(module: torch.nn.Module, case: Case, name: str) -> torch.nn.Module:
    """The module, after a first call if its parameters take their sizes from that; other modules are not called."""
    if any(is_lazy(one) for one in (*module.parameters(), *module.buffers())):
        module.eval()  # a call in training would change running statistics
        x = torch.tensor(case.x, dtype=torch.get_default_dtype())
        guarded(lambda: module(x), case, name, " in the call that completes a lazy module")
        module.train()
    return module


def unexplained(module: torch.nn.Module, case: Case, name: str) -> dict[str, str]:
    """Notes with the names of what belongs to no role.

    The buffers and attributes that a training batch changes, except running statistics and counts of batches; a count
    too if the output in training depends on it, with the properties that do. Parameters other than weight and bias on
    which the output depends.
    """
    try:
        without_role = _without_role(module, case, name)
        changed = (*_changed(module, case, name), *_scheduled(module, case, name))
    except CallError:
        return {}  # binding reports that it cannot be called
    kept = "checked at the value that it is made with, at another it is another function"
    notes = {"buffers changed": ", ".join(dict.fromkeys(changed))}
    notes |= {f"parameter {one}": kept for one in without_role}
    return {what: text for what, text in notes.items() if text}


def _without_role(module: torch.nn.Module, case: Case, name: str) -> list[str]:
    """The parameters that are neither weight nor bias and on which the output depends."""
    known = parameter_names(module)
    return [key for key, _ in module.named_parameters() if key not in known and _acts(module, key, case, name)]


def _acts(module: torch.nn.Module, parameter: str, case: Case, name: str) -> bool:
    """Whether the output depends on a parameter; false for a module that cannot be copied."""
    pair = _copies(module)
    if pair is None:
        return False
    one, other = pair
    held = dict(other.named_parameters())[parameter]
    with torch.no_grad():
        held.copy_(held * 1.5 + 0.5)
    return not _same(_output(one, case, name), _output(other, case, name))


def _copies(module: torch.nn.Module) -> tuple[torch.nn.Module, torch.nn.Module] | None:
    """Two copies of a module; None for one that cannot be copied."""
    try:
        return copied(module), copied(module)
    except ENDS:
        raise
    except BaseException:  # a module that cannot be copied raises anything
        return None


def _changed(module: torch.nn.Module, case: Case, name: str) -> list[str]:
    known = {id(one) for one in buffers(module) if one is not None}
    explained = {key for key, value in module.named_buffers() if id(value) in known}
    before = dict(_state(module))
    _output(module, case, name)
    after = dict(_state(module))
    changed = [key for key in after if key not in before or not _same(before[key], after[key])]
    return [key for key in changed if key not in explained and not _is_count(key)]


def _scheduled(module: torch.nn.Module, case: Case, name: str) -> list[str]:
    """The counts on which the output in training depends, and the properties that follow from them."""
    counts = [key for key, _ in _state(module) if _is_count(key)]
    if not counts:
        return []
    pair = _copies(module)
    if pair is None:
        return []
    early, late = pair
    before = dict(_state(late))
    for key in counts:
        _set(late, key, MANY_BATCHES)
    after = dict(_state(late))
    derived = [key for key in after if key not in counts and not _same(before[key], after[key])]
    if not derived and _same(_output(early, case, name), _output(late, case, name)):
        return []
    return [*counts, *derived]


def _is_count(name: str) -> bool:
    return plain(name.rpartition(".")[2]) in COUNTS


def _set(module: torch.nn.Module, name: str, value: int) -> None:
    path, _, last = name.rpartition(".")
    owner = dict(module.named_modules())[path]
    if isinstance(getattr(owner, last), torch.Tensor):
        getattr(owner, last).fill_(value)
    else:
        setattr(owner, last, value)


def _state(module: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Tensors, numbers and computed numbers of a module and the modules inside it, copied, by dotted name."""
    for path, one in module.named_modules():
        prefix = f"{path}." if path else ""
        held: dict[str, Any] = {**dict(one.named_parameters(recurse=False)), **dict(one.named_buffers(recurse=False))}
        held |= {key: value for key, value in vars(one).items() if key != "training"}
        held |= {key: attribute(one, key) for key in _properties(type(one))}
        for key, value in held.items():
            if isinstance(value, torch.Tensor) and value.is_floating_point() | (
                value.dtype in (torch.int64, torch.int32)
            ):
                yield prefix + key, value.detach().clone()
            elif isinstance(value, (int, float)):
                yield prefix + key, value


def _properties(kind: type) -> list[str]:
    own = [one for one in kind.__mro__ if one.__module__.partition(".")[0] not in ("torch", "builtins")]
    return [key for one in own for key, value in vars(one).items() if isinstance(value, property)]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())
    return type(one) is type(other) and bool(one == other or one != one)  # noqa: PLR0124  # NaN is itself


def _output(module: torch.nn.Module, case: Case, name: str) -> torch.Tensor:
    """The output in training, for an input whose statistics are not those that a new module holds."""
    module.train()
    module.to(DEVICE.get(), tensors.dtype_of(case, "x"))
    x = tensors.given(case.x * 3.0 + 2.0, case, "x")
    with torch.no_grad():
        return tensors.output(guarded(lambda: module(x), case, name), case, name).detach().clone()
