"""In which axis a layer of a channels-last framework holds the channels; a case has them in axis 1."""

from __future__ import annotations

from collections.abc import Callable

from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer


def are_moved(normalizer: Normalizer, case: Case) -> bool:
    """Whether the axis of channels is not the last one anyway."""
    return normalizer.sets.layout == "channels" and case.x.ndim > 2


def of_layout(normalizer: Normalizer, case: Case, *, last: bool) -> tuple[int, ...]:
    """The shape of the input of a case, with its channels in the last axis or where they are."""
    shape = case.x.shape
    return (shape[0], *shape[2:], shape[1]) if last and are_moved(normalizer, case) else tuple(shape)


def channels_last(
    normalizer: Normalizer, case: Case, units: int | None, works: Callable[[tuple[int, ...]], bool]
) -> bool:
    """Whether a layer wants its channels in the last axis: not if it only takes inputs that have them in axis 1.

    units: the number of channels of the layer; None for one that keeps no sizes, which is taken to want them last, as
    all of its framework. works: whether the layer takes an input of a shape.
    """
    if not are_moved(normalizer, case):
        return False
    if units is None:
        return True
    space = [units + i for i in range(1, case.x.ndim - 1)]  # no other axis has as many entries
    return works((2, *space, units)) or not works((2, units, *space))
