"""Which parameter or buffer of a module is which parameter of a defined normalizer: by name, else by size."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch

from normcheck.core.errors import UsageError
from normcheck.core.foreign_code import attribute
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.torch.layer import Tensors
from normcheck.frameworks.roles import NAMES, plain

STARTS = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_std": 1.0, "running_phi": 1.0}
"""First values by role, which tell apart tensors of one size."""

OF_OTHERS = frozenset((*NAMES["running_mean"], *NAMES["running_var"]))
"""Names of buffers that are never another one."""


def words(role: str, entry: DefinedNormalizer) -> tuple[str, ...]:
    """The names that code gives to a parameter, its own first."""
    moving = (f"moving_{role.removeprefix('running_')}",) if role.startswith("running_") else ()
    return tuple(dict.fromkeys((role, *entry.aliases.get(role, ()), *NAMES.get(role, ()), *moving)))


def last(name: str) -> str:
    """The last part of a full name, as it is compared."""
    return plain(name.rpartition(".")[2])


def held_by(module: torch.nn.Module, roles: Collection[str], entry: DefinedNormalizer) -> Tensors:
    """The tensors of a module and of those inside it by full name, also under a role's name that a property gives."""
    out: Tensors = {name: one for name, one in vars(module).items() if isinstance(one, torch.Tensor)}
    out |= {**dict(module.named_buffers()), **dict(module.named_parameters())}
    known = {id(one) for one in out.values()}
    given = {word: attribute(module, word) for role in roles for word in words(role, entry)}
    return {word: one for word, one in given.items() if id(one) in known} | out


def by_name(module: torch.nn.Module, held: Tensors, entry: DefinedNormalizer) -> dict[str, str]:
    """The full name of the tensor for each role that a name tells: a role's own name first, and the outer module's.

    A tensor has one role, and as many numbers as this needs.
    """
    there = held_by(module, held, entry)
    out: dict[str, str] = {}
    for exact in (True, False):
        for role, value in held.items():
            taken = {id(there[name]) for name in out.values()}
            known = words(role, entry)[: 1 if exact else None]
            fitting = [
                (known.index(word), name.count("."), name)
                for name, one in there.items()
                if (word := last(name)) in known and one.numel() == value.numel() and id(one) not in taken
            ]
            if role not in out and fitting:
                out[role] = min(fitting, key=lambda one: one[:2])[2]
    return out


def named(module: torch.nn.Module, own: Mapping[str, str], entry: DefinedNormalizer) -> Tensors:
    """The tensors by role, of full names by role."""
    there = held_by(module, own, entry)
    return {role: there[name] for role, name in own.items()}


def by_size(
    module: torch.nn.Module, held: Tensors, named: Mapping[str, str], entry: DefinedNormalizer
) -> dict[str, str]:
    """The full name of the tensor for each of the roles that no name tells, by the size, then by the first value.

    held: those roles. Nothing for a module all of whose tensors have a role. Raises `UsageError`, with the names that
    are understood, if it has others, among which a role is not found.
    """
    there = held_by(module, {*held, *named}, entry)
    taken = {id(there[name]) for name in named.values()}
    constants = {word for name in entry.constants for word in (name, *NAMES.get(name, ()))}

    def free(some: Iterable[tuple[str, torch.Tensor]]) -> Tensors:
        return {n: one for n, one in some if id(one) not in taken and last(n) not in constants}

    pools = {
        False: free(module.named_parameters()),
        True: free((n, one) for n, one in module.named_buffers() if one.is_floating_point()),
    }
    out: dict[str, str] = {}
    for role, value in held.items():
        kept = role in entry.state
        some, size = pools[kept], value.numel()
        fitting = [n for n, one in some.items() if one.numel() == size and last(n) not in OF_OTHERS]
        rivals = [r for r, other in held.items() if other.numel() == size and (r in entry.state) == kept]
        if max(len(rivals), len(fitting)) > 1:
            fitting = [n for n in fitting if role in STARTS and bool((some[n].detach() == STARTS[role]).all())]
        if len(fitting) == 1:
            out[role] = fitting[0]
        elif some:
            shapes = ", ".join(f"{n} {tuple(one.shape)}" for n, one in some.items())
            raise UsageError(
                f"its {shapes} {'have' if len(some) > 1 else 'has'} no known role, and none is {role} of {entry.name}; "
                f"known names: {', '.join(words(role, entry))}"
            )
    return out
