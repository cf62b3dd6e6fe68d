"""Changes to the text of a TOML file that leave everything else in it as it is: comments, order, line ends."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable


def edited(text: str, change: Callable[[Any], object], expected: Mapping[str, Any]) -> str | None:
    """The text after a change to its document, with the line ends that it had.

    It is read again: None unless it means exactly what is expected.
    """
    windows = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    try:
        document = tomlkit.parse(text.replace("\r\n", "\n") if windows else text)
        change(document)
        made = tomlkit.dumps(document)
        made = made.replace("\n", "\r\n") if windows else made
        return made if tomllib.loads(made) == expected else None
    except (TOMLKitError, ValueError, TypeError, RecursionError):
        return None


def table_in(owner: Any, name: str) -> Any:
    """The table of that name in another one, made if there is none."""
    if name not in owner:
        owner[name] = tomlkit.inline_table() if inline(owner) else tomlkit.table(is_super_table=True)
    return owner[name]


def inline(table: object) -> bool:
    """Whether a table is written in braces, so that everything in it is too."""
    return isinstance(table, InlineTable)
