"""The findings that a project has accepted, in its pyproject.toml: read strictly, and written without harm.

[[tool.normcheck.expected]]
target = "mypkg.kernels:fast_layer_norm"
check = "value"  # or a list of several
reason = "one pass over the data, issue 12"
until = 2027-01-31

New entries go where a project has others; where it has none, into a list with a line for each, which is shorter:

[tool.normcheck]
expected = [{target = "mypkg.kernels:fast_layer_norm", check = "value", reason = "one pass over the data, issue 12"}]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import date, datetime
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Array

from normcheck.core.atomic_write import atomic_write, try_write
from normcheck.core.errors import UsageError, suggest
from normcheck.engine.accepted_findings import AcceptedFinding
from normcheck.engine.project_table import (
    ENTRIES,
    TABLES,
    content_of,
    line_of,
    parsed,
    text_of,
    type_in_toml,
)
from normcheck.engine.toml_text import edited, table_in

CHECK = "check"
KEYS = ("target", CHECK, "reason", "until")
EXAMPLE = "as in [[tool.normcheck.expected]] with target, check and reason"


def read(path: Path, checks: Iterable[str]) -> tuple[AcceptedFinding, ...]:
    """The entries of a pyproject.toml, if it exists. Raises `UsageError` for an invalid entry. checks: known names."""
    text = text_of(path)
    entries = content_of(path, text).get(ENTRIES, [])
    if not isinstance(entries, list):
        place = line_of(path, text, ENTRIES)
        raise UsageError(
            f"{place}: tool.normcheck.expected is {type_in_toml(entries)}; write a list of tables, {EXAMPLE}"
        )
    found: list[AcceptedFinding] = []
    for i, entry in enumerate(entries):
        found += _entry(entry, line_of(path, text, ENTRIES, i), tuple(checks))
    return tuple(found)


def checks_of(entry: Mapping[str, Any]) -> list[Any]:
    """The checks of an entry, which names one or several."""
    return entry["check"] if isinstance(entry["check"], list) else [entry["check"]]


def _require_texts(where: str, key: str, value: Any) -> None:
    """Raise `UsageError` for a value that is no text; the checks may be a list of texts."""
    texts = value if key == CHECK and isinstance(value, list) else [value]
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"{where} has {type_in_toml(text)} as its {key}; write a text in quotes")
    if not texts or not all(text.strip() for text in texts):
        raise UsageError(f"{where} has no {key}: target, check and reason are required")


def _entry(entry: Any, place: str, checks: tuple[str, ...]) -> Iterator[AcceptedFinding]:
    where = f"{place}: an expected finding"
    if not isinstance(entry, dict):
        raise UsageError(f"{where} is {type_in_toml(entry)}; write a table, {EXAMPLE}")
    for key in entry:
        if key not in KEYS:
            raise UsageError(f"{where} has an unknown key {key!r}; {suggest(key, KEYS)}")
    for key in KEYS[:3]:
        _require_texts(where, key, entry.get(key, ""))
    for check in checks_of(entry):
        if check not in checks:
            raise UsageError(f"{where} names a check {check!r} that there is not; {suggest(check, checks)}")
    until = entry.get("until")
    if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
        raise UsageError(f"{where} is accepted until {str(until)!r}: write a date, as in until = 2027-01-31")
    for check in checks_of(entry):
        yield AcceptedFinding(entry["target"], check, entry["reason"], until)


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
    with_entries(path, text_of(path), [dict.fromkeys(KEYS[:3], "x")])


def write(path: Path, found: Iterable[tuple[str, str]], reason: str) -> int:
    """Add entries for pairs (target, check) that the file does not have yet. Returns how many.

    Everything else in the file stays as it is. Raises `UsageError` if it cannot be written; then it is unchanged.
    """
    text = text_of(path)
    known = pairs_in(path, text)
    new = [
        {"target": target, "check": check, "reason": reason}
        for target, check in dict.fromkeys(found) if (target, check) not in known
    ]  # fmt: skip
    if not new:
        return 0
    written = with_entries(path, text, new)
    try:
        atomic_write(path, written.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    return len(new)


def pairs_in(path: Path, text: str) -> set[tuple[str, str]]:
    """The pairs (target, check) of the entries of a file, which `read` has checked."""
    return {(entry["target"], check) for entry in _entries(parsed(path, text)) for check in checks_of(entry)}


def _entries(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The list of entries in the content of a file, which `read` has checked."""
    for name in TABLES:
        content = content.get(name, {})
    found: list[dict[str, Any]] = content.get(ENTRIES, [])
    return found


def with_entries(path: Path, text: str, new: Sequence[Mapping[str, Any]]) -> str:
    """The text of a file with further entries at the end. Raises `UsageError` if it would mean something else too."""
    expected = deepcopy(parsed(path, text))
    owner: dict[str, Any] = expected
    for name in TABLES:
        owner = owner.setdefault(name, {})
    owner[ENTRIES] = [*owner.get(ENTRIES, []), *new]
    made = edited(text, lambda document: _add(document, new), expected)
    if made is None:
        raise UsageError(
            f"{path.name} is written in a way in which no expected finding can be added: write [[tool.normcheck."
            "expected]] tables at its end by hand"
        )
    return made


def _add(document: Any, new: Iterable[Mapping[str, Any]]) -> None:
    """Add entries to a document of `tomlkit`: more items of a list in brackets, or of the tables that it has."""
    owner = document
    for name in TABLES:
        owner = table_in(owner, name)
    if ENTRIES not in owner:
        owner[ENTRIES] = tomlkit.array()
    entries = owner[ENTRIES]
    in_brackets = isinstance(entries, Array)
    for entry in new:
        table = tomlkit.inline_table() if in_brackets else tomlkit.table()
        table.update(entry)
        entries.append(table)
    if in_brackets and len(entries) > 1 and "\n" not in entries.as_string():  # it has no lines of its own yet
        entries.multiline(multiline=True)
