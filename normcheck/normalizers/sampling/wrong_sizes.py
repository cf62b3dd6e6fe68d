"""Calls whose sizes do not fit each other, which torch's functions refuse, and the right calls that each might mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from normcheck.core.layouts import NAMES
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.sizes import again, of_shape

IN_NAN = NAMES[4]
"""The layout of a vector that is contiguous and lies between NaN, so that a read beyond its end shows."""

CHANNELS, GROUPS, SPACE = 5, 2, 2
"""Channels that the groups do not divide, each of as many positions; the groups divide the entries of a case."""


@dataclass(frozen=True, slots=True, eq=False)
class WrongSizes:
    """A call that has to be refused, what is wrong with it, and the right calls whose result would be as plain."""

    words: str
    case: Case
    broadcast: bool = False  # each framework gives it a meaning: one entry stands for all
    meant: tuple[Case, ...] = ()  # right calls with the output of one, flattened
    slices: tuple[tuple[tuple[int, int], Case], ...] = ()  # from and to which channel, and a right call on these


def of_parameters(case: Case, role: str, *, inside: bool) -> Iterator[WrongSizes]:
    """Calls with a weight or a bias (role) of one entry, of one too few, and of one too many.

    One entry may be meant for all units, and of too many the first ones. inside: a vector can lie inside of a buffer.
    """
    whole = getattr(case, role)
    layouts = {role: IN_NAN} if inside else {}
    for length in sorted({1, whole.size - 1, whole.size + 1} - {0, whole.size}):
        wrong = np.resize(whole, length)
        right = () if 1 < length < whole.size else (case.but(**{role: np.resize(wrong, whole.shape)}),)
        words = f"a {role} of {length} {'entry' if length == 1 else 'entries'} for {whole.size}"
        yield WrongSizes(words, case.but(**{role: wrong}, layouts=layouts), length == 1, right)


def of_groups(normalizer: Normalizer, case: Case, ranks: Sequence[int]) -> Iterator[WrongSizes]:
    """A call on channels that the number of groups does not divide.

    Neighbors may be meant to be a group, of any number of channels, or of any number of entries.
    """
    rank = next((rank for rank in (3, 4, 2) if rank in ranks), ranks[0])
    space = (SPACE, *(1,) * (rank - 3)) if rank > 2 else ()
    right = of_shape(normalizer, again(case), ((2, CHANNELS + 1, *space), GROUPS, 1))
    wrong = _some(right, 0, CHANNELS, GROUPS)
    entries = CHANNELS * math.prod(space)
    blocks = wrong.x.reshape(len(wrong.x), GROUPS, -1, *space[1:]) if space and entries % GROUPS == 0 else None
    meant = () if blocks is None else (_some(wrong, 0, GROUPS, GROUPS).but(x=blocks),)
    pairs = [(start, end) for start in range(CHANNELS) for end in range(start + 1, CHANNELS + 1)]
    slices = tuple((pair, _some(wrong, *pair, 1)) for pair in pairs)
    yield WrongSizes(f"{CHANNELS} channels in {GROUPS} groups", wrong, False, meant, slices)


def _some(case: Case, start: int, end: int, groups: int) -> Case:
    """The channels from start to end as a case of its own. All weights are equal, and all biases."""
    same = {role: np.full(end - start, value.flat[0])
            for role in ("weight", "bias") if (value := getattr(case, role)) is not None}  # fmt: skip
    return case.but(x=case.x[:, start:end], groups=groups, dy=None, **same)


def misfit(normalizer: Normalizer, case: Case) -> str:
    """Why the sizes of a case of activations do not fit each other; empty if they do."""
    if normalizer.acts_on == "weight":
        return ""
    shape = case.x.shape
    channels = normalizer.sets.layout == "channels"
    if channels and shape[1] % case.groups:
        return f"{shape[1]} channels cannot be divided into {case.groups} groups"
    units = shape[1] if channels else math.prod(shape[len(shape) - case.normalized :])
    for role in ("weight", "bias"):
        value = getattr(case, role)
        if value is not None and value.size != units:
            return f"a {role} of {value.size} entries for {units} units"
    return ""
