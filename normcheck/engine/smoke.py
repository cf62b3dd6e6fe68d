"""The questions of the smoke effort: for each kind, those that find most known faults for their time, in that order.

`smoke.txt` is written by `tests/smoke_table.py`, a greedy cover of the faults. A kind without lines there (of another
family, or of a catalog of one's own) is asked the first example of each check.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from normcheck import families
from normcheck.core.check import Check

SMOKE = "smoke"
"""The name of the effort."""

TABLE = Path(__file__).with_name("smoke.txt")

HEADER = (
    "# kind, check, example (its place among those that are always run), milliseconds, faults that it finds first\n"
)

Lines = tuple[tuple[str, int, float, int], ...]
"""Check, example, milliseconds, and number of faults that no earlier line finds."""


@lru_cache(maxsize=1)
def table() -> dict[str, Lines]:
    """The lines of each kind, in the order in which they are asked."""
    out: dict[str, Lines] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, check, example, milliseconds, found = line.split()
            out[kind] = (*out.get(kind, ()), (check, int(example), float(milliseconds), int(found)))
    return out


@lru_cache(maxsize=256)
def _places(kind: str) -> dict[str, tuple[int, ...]]:
    """The places of the examples of each check that is asked of a kind, the check first that has the first line."""
    out: dict[str, tuple[int, ...]] = {}
    for check, example, _, _ in table().get(kind, ()):
        out[check] = (*out.get(check, ()), example)
    return out


def checks(kind: str, some: Iterable[Check]) -> list[Check]:
    """Those of some checks that the smoke effort asks of a kind, the one that finds most for its time first."""
    places = _places(kind)
    if not places:
        without = families.of(families.get(kind)).table  # a "no" needs a witness among many cases
        return [check for check in some if check.least == "quick" and check.cost < math.inf and check not in without]
    order = list(places)
    return sorted((check for check in some if check.name in places), key=lambda check: order.index(check.name))


def examples(subject: Any, check: Check) -> Iterator[Any]:
    """The draws of a check that the smoke effort asks of a subject; of one that has fewer examples, its first."""
    places = _places(subject.entry.name).get(check.name, (0,))
    some = list(islice(check.space.explicit_examples(subject), max(places) + 1))
    yield from [some[i] for i in places if i < len(some)] or some[:1]
