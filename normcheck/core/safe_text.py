"""Text from foreign code, made safe to show: one function for the terminal, logs of CI, pages and every other report.

Control codes do not reach a terminal or a log, no line of the text can start a workflow command, and every text can be
encoded as UTF-8. It is applied where an exception of normcheck or a record is made, and where a saved run is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""Escape sequences of terminals (ECMA-48): CSI, OSC, and those of two characters. They carry no text."""

_CODES = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control codes, line and paragraph separators, invisible and bidirectional controls, and lone surrogates."""

_COMMANDS = re.compile(r"(?<!\S):{2,}|##\w*(?=\[)")
"""Where a runner of CI reads a command: `::name` at the start of a line (GitHub), `##[name` and `##vso[name` anywhere
(GitHub, Azure), `##teamcity[name` (TeamCity). Reports wrap lines at any space, so each word counts as a start."""


def safe(text: str) -> str:
    r"""A text that shows as it reads: control codes as escapes, without terminal sequences and workflow commands.

    >>> safe("a\x1b[31m red\x1b[0m\x07, \udcff, ::stop-commands::x, std::vector, ##[error]")
    'a red\\x07, \\udcff, : :stop-commands::x, std::vector, ## [error]'
    """
    if text.isascii() and text.isprintable() and ":" not in text and "#" not in text:
        return text
    text = _SEQUENCES.sub("", text.replace("\r\n", "\n"))
    text = _CODES.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
    return _COMMANDS.sub(lambda found: " ".join(found[0]) if found[0][0] == ":" else f"{found[0]} ", text)


def safe_record(value: Any) -> Any:
    """Plain data with every text in it made safe, in keys too; an instance of a subclass of `str` becomes a `str`."""
    if isinstance(value, str):
        return safe(str.__str__(value))
    if isinstance(value, Mapping):
        return {safe_record(key): safe_record(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [safe_record(item) for item in value]
    return value
