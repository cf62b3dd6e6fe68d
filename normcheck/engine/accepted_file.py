"""The findings that a project has accepted, in its pyproject.toml: read strictly, and written without harm.

[[tool.normcheck.expected]]
target = "mypkg.kernels:fast_layer_norm"
check = "value"
reason = "one pass over the data, issue 12"
until = 2027-01-31
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import date, datetime
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array, InlineTable

from normcheck.core.atomic_write import atomic_write, try_write
from normcheck.core.errors import UsageError, suggest
from normcheck.engine.accepted_findings import AcceptedFinding

KEYS = ("target", "check", "reason", "until")
TABLES = ("tool", "normcheck")
"""The tables around the entries, from the outside in."""
ENTRIES = "expected"
EXAMPLE = "as in [[tool.normcheck.expected]] with target, check and reason"


def read(path: Path, checks: Iterable[str]) -> tuple[AcceptedFinding, ...]:
    """The entries of a pyproject.toml, if it exists. Raises `UsageError` for an invalid entry. checks: known names."""
    table: Any = _parsed(path, _text(path))
    for name in TABLES:
        table = table.get(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"{path.name}: {name} is {_type(table)}; write a table, {EXAMPLE}")
    for key in table:
        if key != ENTRIES:
            raise UsageError(f"{path.name}: [tool.normcheck] has an unknown key {key!r}; {suggest(key, [ENTRIES])}")
    entries = table.get(ENTRIES, [])
    if not isinstance(entries, list):
        raise UsageError(f"{path.name}: tool.normcheck.expected is {_type(entries)}; write a list of tables, {EXAMPLE}")
    return tuple(_entry(entry, path.name, tuple(checks)) for entry in entries)


def _text(path: Path) -> str:
    """The text of a file, with its line ends; empty if there is no file. Raises `UsageError` if it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not UTF-8 (byte {error.start + 1}): save it as UTF-8") from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    """The content of a TOML file. Raises `UsageError` for what is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path.name} is nested too deeply to be read: remove some of its brackets") from None
    except ValueError as error:
        raise UsageError(f"{path.name} cannot be read: {error}") from None


def _type(value: object) -> str:
    """The type of a value, as TOML names it, with its article."""
    names = {
        bool: "a boolean", int: "an integer", float: "a float", str: "a string", dict: "a table", list: "an array",
        datetime: "a date-time", date: "a date",
    }  # fmt: skip
    return names.get(type(value), "a time")


def _entry(entry: Any, file: str, checks: tuple[str, ...]) -> AcceptedFinding:
    where = f"{file}: an expected finding"
    if not isinstance(entry, dict):
        raise UsageError(f"{where} is {_type(entry)}; write a table, {EXAMPLE}")
    for key in entry:
        if key not in KEYS:
            raise UsageError(f"{where} has an unknown key {key!r}; {suggest(key, KEYS)}")
    for key in KEYS[:3]:
        value = entry.get(key, "")
        if not isinstance(value, str):
            raise UsageError(f"{where} has {_type(value)} as its {key}; write a text in quotes")
        if not value.strip():
            raise UsageError(f"{where} has no {key}: target, check and reason are required")
    if entry["check"] not in checks:
        raise UsageError(
            f"{where} names a check {entry['check']!r} that there is not; {suggest(entry['check'], checks)}"
        )
    until = entry.get("until")
    if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
        raise UsageError(f"{where} is accepted until {str(until)!r}: write a date, as in until = 2027-01-31")
    return AcceptedFinding(entry["target"], entry["check"], entry["reason"], until)


def require_writable(path: Path, reason: str) -> None:
    """Raise `UsageError` if entries with this reason could not be added to the file."""
    if not reason.strip():
        raise UsageError('--norm-accept needs a reason, as in --norm-accept "one pass over the data, issue 12"')
    try:
        reason.encode()
    except UnicodeEncodeError:
        raise UsageError("the reason of --norm-accept is not UTF-8: write it in the encoding of the terminal") from None
    if path.exists() and not path.stat().st_mode & 0o222:
        raise UsageError(f"{path} is read-only: make it writable, or leave out --norm-accept")
    try:
        try_write(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; leave out --norm-accept") from None
    _edited(path, _text(path), [dict.fromkeys(KEYS[:3], "x")])


def write(path: Path, found: Iterable[tuple[str, str]], reason: str) -> int:
    """Add entries for pairs (target, check) that the file does not have yet. Returns how many.

    Everything else in the file stays as it is. Raises `UsageError` if it cannot be written; then it is unchanged.
    """
    text = _text(path)
    known = {(entry["target"], entry["check"]) for entry in _entries(_parsed(path, text))}
    new = [
        {"target": target, "check": check, "reason": reason}
        for target, check in dict.fromkeys(found) if (target, check) not in known
    ]  # fmt: skip
    if not new:
        return 0
    written = _edited(path, text, new)
    try:
        atomic_write(path, written.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    return len(new)


def _entries(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The list of entries in the content of a file, which `read` has checked."""
    for name in TABLES:
        content = content.get(name, {})
    found: list[dict[str, Any]] = content.get(ENTRIES, [])
    return found


def _edited(path: Path, text: str, new: list[dict[str, str]]) -> str:
    """The text with further entries, with the line ends that it has.

    It is read again: unless it means exactly what it meant, with the new entries at the end, `UsageError` is raised.
    """
    expected = deepcopy(_parsed(path, text))
    owner: dict[str, Any] = expected
    for name in TABLES:
        owner = owner.setdefault(name, {})
    owner[ENTRIES] = [*owner.get(ENTRIES, []), *new]
    windows = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    try:
        made = _with_entries(text.replace("\r\n", "\n") if windows else text, new)
        made = made.replace("\n", "\r\n") if windows else made
        same = tomllib.loads(made) == expected
    except (TOMLKitError, ValueError, TypeError, RecursionError):
        same = False
    if not same:
        raise UsageError(
            f"{path.name} is written in a way in which no expected finding can be added: write [[tool.normcheck."
            "expected]] tables at its end by hand"
        )
    return made


def _with_entries(text: str, new: Iterable[Mapping[str, str]]) -> str:
    """The text as `tomlkit` writes it with further entries: tables at the end, or more items of a list in brackets."""
    document = tomlkit.parse(text)
    owner: Any = document
    for name in TABLES:
        if name not in owner:
            owner[name] = tomlkit.inline_table() if _inline(owner) else tomlkit.table(is_super_table=True)
        owner = owner[name]
    if ENTRIES not in owner:
        owner[ENTRIES] = tomlkit.array() if _inline(owner) else tomlkit.aot()
    entries = owner[ENTRIES]
    in_brackets = isinstance(entries, Array)
    for entry in new:
        table = tomlkit.inline_table() if in_brackets else tomlkit.table()
        table.update(entry)
        entries.append(table)
    return tomlkit.dumps(document)


def _inline(table: object) -> bool:
    """Whether a table is written in braces, so that everything in it is too."""
    return isinstance(table, InlineTable)
