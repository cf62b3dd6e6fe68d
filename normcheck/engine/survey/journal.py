"""The lines of a survey as it goes: what each module has, and the row of each callable; a killed one goes on there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from normcheck.core.atomic_write import try_write
from normcheck.core.errors import UsageError
from normcheck.core.version import __version__
from normcheck.engine.batch.answers import whole_lines

KEY, LINE = "key", "line"


def key(*words: object) -> str:
    """A short text that changes with everything that a line depends on, this version of normcheck included."""
    return hashlib.sha256(json.dumps([__version__, *map(str, words)]).encode()).hexdigest()[:16]


class SurveyJournal:
    """The lines of a file by key; a new one is written at once."""

    def __init__(self, file: BinaryIO, before: Mapping[str, Any]) -> None:
        self._file = file
        self._before = dict(before)

    def get(self, key: str) -> Any:
        """The line with a key; None if there is none."""
        return self._before.get(key)

    def add(self, key: str, line: Any) -> None:
        self._before[key] = line
        self._file.write(json.dumps({KEY: key, LINE: line}).encode() + b"\n")
        self._file.flush()


@contextmanager
def opened(path: Path) -> Iterator[SurveyJournal]:
    """The lines of a file, which is made if it does not exist; a last line that was not written whole is cut off.

    Raises `UsageError` for a file that cannot be written, or is no journal of a survey.
    """
    try:
        try_write(path)
        before = _read(path)
        file = path.open("ab")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    with file:
        yield SurveyJournal(file, before)


def _read(path: Path) -> dict[str, Any]:
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        found = [json.loads(one) for one in whole_lines(path).splitlines()]
        return {one[KEY]: one[LINE] for one in found}
    raise UsageError(f"{path} has a line that is none of a survey: name another folder")
