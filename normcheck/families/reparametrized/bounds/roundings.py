"""How many roundings a sum and a product of matrices may collect."""

from __future__ import annotations

from normcheck.normalizers.bounds.bounds import SOUND


def roundings(members: int, size: int) -> float:
    """Roundings of a sum over members, and of products of matrices of a size, which counts twice."""
    return SOUND.summed(members) + 2.0 * size
