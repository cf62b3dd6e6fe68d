"""Names grouped by the reason that they have in common."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from normcheck.core.errors import IN_BACKWARD
from normcheck.report.message import is_exception

MOST_ALIKE = 3
"""So many names are written of those that differ in numbers only."""

FEW, LONGEST = 2, 40
"""Names that are written in a brief text, and characters of the reason that it has of more of them."""


def counted(reasons: Mapping[str, str]) -> str:
    """How many names have the most frequent reason, and how many another; few names are written as they are.

    >>> counted({"compiled": "asked with --norm-effort deep"})
    'compiled (asked with --norm-effort deep)'
    >>> counted({"a": "takes no momentum", "b": "takes no momentum", "c": "is no module", "d": "x 1", "e": "x 2"})
    '5: 2 (takes no momentum), 3 others; -v names all'
    """
    if len(reasons) <= FEW:
        return with_reason(reasons)
    grouped: dict[str, list[str]] = {}
    for why in reasons.values():
        grouped.setdefault(_without_numbers(why), []).append(why)
    most = max(grouped.values(), key=len)
    others = len(reasons) - len(most)
    first = f"{len(most)} ({textwrap.shorten(most[0], LONGEST, placeholder=' ...')})"
    return f"{len(reasons)}: {first}{f', {others} others' if others else ''}; -v names all"


def with_reason(reasons: Mapping[str, str], told: Iterable[Mapping[str, Any]] = ()) -> str:
    """A text that groups names by their reason; reasons that differ in numbers only are one.

    told: causes that are written beside it, whose exceptions are not repeated.

    >>> with_reason({"inputs 2x3": "raised ValueError: 6 of 4", "inputs 2x4": "raised ValueError: 8 of 4"})
    'inputs 2x3, inputs 2x4 (raised ValueError: 6 of 4)'
    >>> with_reason({f"inputs {n}x3": "raised ValueError" for n in range(9)})
    'inputs 0x3, inputs 1x3, inputs 2x3 and 6 more (raised ValueError)'
    """
    stories = [_without_numbers(cause["story"]) for cause in told if is_exception(cause["finding"])]
    grouped: dict[str, list[tuple[str, str]]] = {}
    for what, why in reasons.items():
        grouped.setdefault(_without_numbers(why), []).append((what, why))
    out = []
    for key, some in grouped.items():
        exception = key.removeprefix("raised ").replace(IN_BACKWARD, "")
        why = "raised, see the cause" if any(exception in story for story in stories) else some[0][1]
        out.append(f"{', '.join(_alike(what for what, _ in some))} ({why})")
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
