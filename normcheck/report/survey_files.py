"""The files of a survey: the document as JSON, as markdown and as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from normcheck.core.atomic_write import atomic_write
from normcheck.core.errors import UsageError
from normcheck.core.foreign_code import first_line
from normcheck.report import survey_markdown


def write(document: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Write each file of a survey and yield its path. Raises `UsageError` if one cannot be written.

    The page is left out where the libraries of the extra `report` are not installed.
    """
    for name, content in _contents(document):
        try:
            atomic_write(folder / name, content.encode())
        except OSError as error:
            raise UsageError(f"cannot write {folder / name}: {error.strerror or first_line(error)}") from None
        yield folder / name


def _contents(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "survey.json", json.dumps(document, indent=1, allow_nan=False) + "\n"
    yield "survey.md", survey_markdown.text(document)
    try:
        from normcheck.report import survey_page  # noqa: PLC0415  # what it imports comes with the extra report
    except ImportError:
        return
    yield "survey.html", survey_page.text(document)
