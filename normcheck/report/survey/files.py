"""The files of a survey: the document as JSON, as markdown and as a page; and a report of it, of what is told only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from normcheck.core.atomic_write import atomic_write
from normcheck.core.errors import UsageError
from normcheck.core.foreign_code import first_line
from normcheck.report.survey import markdown

DOCUMENT = "survey.json"
"""The document in the folder of a survey."""

TOLD_OF_RECORD = ("verdict", "contract", "causes", "warnings")
"""What pages tell of the record of a callable, beside the findings that stand for the causes."""

PLACE = re.compile(r"(?<![^\s'\"(=<])(?:/[^\s/:'\"]+)+/(?=[^\s/:'\"]+)")
"""The folders of an absolute path of the machine on which the survey ran."""


def write(document: Mapping[str, Any], stem: Path) -> Iterator[Path]:
    """Write a survey as STEM.json, .md and .html, and yield each path. Raises `UsageError` if one cannot be written.

    The page is left out where the libraries of the extra `report` are not installed.
    """
    for ending, content in contents(document):
        path = stem.with_name(stem.name + ending)
        try:
            atomic_write(path, content.encode())
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror or first_line(error)}") from None
        yield path


def contents(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The ending and the text of each file of a survey."""
    yield ".json", json.dumps(document, indent=1, allow_nan=False) + "\n"
    yield ".md", markdown.text(document)
    try:
        from normcheck.report.survey import page  # noqa: PLC0415  # what it imports comes with the extra report
    except ImportError:
        return
    yield ".html", page.text(document)


def saved(folder: Path) -> dict[str, Any]:
    """The document of a survey that was made. Raises `UsageError` if the folder has none."""
    path = folder / DOCUMENT
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read {path}: {first_line(error)}; make it: normcheck survey --out {folder}") from None
    if not isinstance(document, dict) or document.get("survey") != 1:
        raise UsageError(f"{path} is no document of a survey; make it: normcheck survey --out {folder}")
    return document


def told(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with what pages tell, and without the places of files on the machine on which it was made."""
    libraries = [
        {**library, "normalizers": [_row(row) for row in library["normalizers"]]} for library in document["libraries"]
    ]
    environment = {key: value for key, value in document["environment"].items() if key != "platform"}
    found: dict[str, Any] = _without_places({**document, "environment": environment, "libraries": libraries})
    return found


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    if not row["record"]:
        return dict(row)
    record = {key: row["record"][key] for key in TOLD_OF_RECORD}
    findings = [one["finding"] for one in record["causes"]] if row["standing"] == "finding" else []
    return {**row, "record": {**record, "findings": findings}}


def _without_places(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_places(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_places(one) for one in value]
    return PLACE.sub("", value) if isinstance(value, str) else value
