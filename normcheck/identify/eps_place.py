"""The place of eps as a contract names it, from what was measured of eps."""

from __future__ import annotations

import math
from collections.abc import Mapping

from normcheck.identify import measure
from normcheck.normalizers.subject import Subject


def eps_place(subject: Subject, reads: int, eps: Mapping[str, measure.Eps]) -> dict[str, str]:
    """The place to declare, by its key; empty if eps is added inside the root, as in torch, or shows no place.

    A floor that is eps itself is one under the root. One that is eps / sqrt(m) is a floor under the length of a set,
    as torch.nn.functional.normalize has it. reads: m, the members of a set that the statistic reads.
    """
    if any(one.place == "outside" for one in eps.values()):
        return {"eps-place": "outside"}
    given = {format: measure.drawn(subject, format).eps for format in eps}
    for place, share in (("root-floor", 1.0), ("floor", 1.0 / math.sqrt(reads))):
        if eps and all(_is_floor(one, given[format] * share) for format, one in eps.items()):
            return {"eps-place": place}
    return {}


def _is_floor(one: measure.Eps, least: float) -> bool:
    return one.place == "floor" and math.isclose(one.value, least, rel_tol=10.0 * measure.PLAIN)
