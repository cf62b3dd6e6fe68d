"""The floating-point formats that a record names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any


def formats_in(keys: Iterable[str]) -> list[str]:
    """The formats in keys of the form "PASS FORMAT", each once: the widest first, then by name.

    >>> formats_in(["forward real16", "forward real64", "backward real64", "forward half16"])
    ['real64', 'half16', 'real16']
    """
    names = {key.rpartition(" ")[2] for key in keys}
    return sorted(names, key=lambda name: (-_bits(name), name))


def classes(record: Mapping[str, Any]) -> dict[str, str]:
    """The accuracy class in which each pass and format of a record is judged."""
    return {place: str(found["class"]) for place, found in record.get("accuracy", {}).items()}


def _bits(name: str) -> int:
    digits = re.search(r"\d+", name)
    return int(digits.group()) if digits else 0
