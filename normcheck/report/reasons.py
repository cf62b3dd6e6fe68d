"""Names grouped by the reason that they have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from normcheck.core.errors import IN_BACKWARD
from normcheck.report.message import is_exception

MOST_ALIKE = 3
"""So many names are written of those that differ in numbers only."""

MOST_BRIEF = 2
"""With more names than this, a brief text has their number."""


def with_reason(reasons: Mapping[str, str], told: Iterable[Mapping[str, Any]] = (), *, brief: bool = False) -> str:
    """A text that groups names by their reason; reasons that differ in numbers only are one.

    told: causes that are written beside it, whose exceptions are not repeated. brief: count the names of a reason.

    >>> with_reason({"inputs 2x3": "raised ValueError: 6 of 4", "inputs 2x4": "raised ValueError: 8 of 4"})
    'inputs 2x3, inputs 2x4 (raised ValueError: 6 of 4)'
    >>> with_reason({f"inputs {n}x3": "raised ValueError" for n in range(9)})
    'inputs 0x3, inputs 1x3, inputs 2x3 and 6 more (raised ValueError)'
    >>> with_reason({"history": "takes no momentum", "state-dict": "takes no momentum",
    ...              "whole-life": "takes no momentum", "folding": "is no module"}, brief=True)
    '3 items (takes no momentum); folding (is no module); -v names all'
    """
    stories = [_without_numbers(cause["story"]) for cause in told if is_exception(cause["finding"])]
    grouped: dict[str, list[tuple[str, str]]] = {}
    for what, why in reasons.items():
        grouped.setdefault(_without_numbers(why), []).append((what, why))
    out = []
    for key, some in grouped.items():
        exception = key.removeprefix("raised ").replace(IN_BACKWARD, "")
        why = "raised, see the cause" if any(exception in story for story in stories) else some[0][1]
        names = [what for what, _ in some]
        counted = brief and len(names) > MOST_BRIEF
        out.append(f"{f'{len(names)} items' if counted else ', '.join(_alike(names))} ({why})")
    if brief and any(len(some) > MOST_BRIEF for some in grouped.values()):
        out.append("-v names all")
    return "; ".join(out)


def _alike(names: Iterable[str]) -> Iterator[str]:
    """The names; of those that differ in numbers only, the first few and how many more."""
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(_without_numbers(name), []).append(name)
    for some in grouped.values():
        more = len(some) - MOST_ALIKE
        shown = ", ".join(some[:MOST_ALIKE] if more > 1 else some)
        yield f"{shown} and {more} more" if more > 1 else shown


def _without_numbers(text: str) -> str:
    return re.sub(r"[\d.]+(e[+-]?\d+)?", "#", text)
