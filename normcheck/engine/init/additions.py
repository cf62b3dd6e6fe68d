"""What is added to a pyproject.toml: the normalizers of the project, and findings that it has today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import tomlkit

from normcheck.core.claim import split_kind
from normcheck.core.errors import UsageError
from normcheck.engine.accepted_file import pairs_in, with_entries
from normcheck.engine.project_table import parsed
from normcheck.engine.survey.examine import CONVENTION, FINDING, RIGHT
from normcheck.engine.toml_text import edited, table_in

PLACES = (("tool", "pytest"), ("tool", "pytest", "ini_options"))
"""The tables of pytest's options: that of pytest 9, if it has keys of its own, and the one that every pytest reads."""

CLAIMED = (RIGHT, CONVENTION, FINDING)
"""What is said of a callable that is checked in every run."""


def claims_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line KIND[KEY=VALUE ...]=TARGET for each normalizer, with the conventions that were measured."""
    out = []
    for row in rows:
        if row["standing"] in CLAIMED:
            words = " ".join(f"{key}={value}" for key, value in row["record"]["contract"].items())
            out.append(f"{row['kind']}{f'[{words}]' if words else ''}={row['target']}")
    return out


def entries_of(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """An expected finding for each normalizer of which checks do not hold, with the causes as its reason."""
    out = []
    for row in rows:
        record = row["record"] or {}
        checks = sorted({finding["check"] for finding in record.get("findings", ())})
        if checks:
            causes = ", ".join(dict.fromkeys(str(cause["name"]) for cause in record["causes"]))
            out.append({
                "target": row["target"], "check": checks if len(checks) > 1 else checks[0],
                "reason": f"TODO mend, or say why it is meant: {causes}",
            })  # fmt: skip
    return out


def with_claims(path: Path, text: str, claims: Sequence[str], options: Mapping[str, str]) -> str:
    """The text of a pyproject.toml with claims that it does not have yet, and options of pytest.

    Raises `UsageError` if they cannot be added without changing something else.
    """
    content = parsed(path, text)
    native = content.get("tool", {}).get("pytest", {})
    place = PLACES[0] if native.keys() - {"ini_options"} else PLACES[1]
    expected = deepcopy(content)
    table: dict[str, Any] = expected
    for name in place:
        table = table.setdefault(name, {})
    before = table.get("norm", [])
    lines = before.split("\n") if isinstance(before, str) else list(before)
    known = {split_kind(str(line))[1] for line in lines}
    new = [one for one in claims if split_kind(one)[1] not in known]
    added = {key: value for key, value in options.items() if key not in table} if new else {}
    if not new:
        return text
    table |= {"norm": [*filter(str.strip, lines), *new], **added}

    def change(document: Any) -> None:
        owner = document
        for name in place:
            owner = table_in(owner, name)
        values = tomlkit.array()
        values.extend(table["norm"])
        owner["norm"] = values.multiline(multiline=len(table["norm"]) > 1)
        for key, value in added.items():
            owner[key] = value

    made = edited(text, change, expected)
    if made is None:
        raise UsageError(f"{path.name} is written in a way in which no options of pytest can be added: add by hand "
                         f"norm = {list(new)!r} to [{'.'.join(place)}]")  # fmt: skip
    return made


def with_findings(path: Path, text: str, entries: Iterable[Mapping[str, Any]]) -> str:
    """The text with the expected findings that it does not have yet."""
    known = {target for target, _ in pairs_in(path, text)}
    new = [one for one in entries if one["target"] not in known]
    return with_entries(path, text, new) if new else text
