"""The file of the journal, which grows as the run goes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from normcheck.core.atomic_write import atomic_write

AT_LEAST = 0.5
"""Seconds between two requests to the system to put on disk what is written; a power failure costs what came since."""


class JournalFile:
    """Lines are appended as they come. What cannot be written is tried again with the next line."""

    def __init__(self, path: Path, first: Iterable[dict[str, Any]]) -> None:
        self.path = path
        self._pending = b"".join(map(_encoded, first))
        self._file: Any = None
        self._size = 0
        self._synced = 0.0
        self._attempt(self._begin)

    @property
    def whole(self) -> bool:
        """Whether all lines were written."""
        return not self._pending

    def write(self, line: dict[str, Any]) -> None:
        """Append a line."""
        self._pending += _encoded(line)
        self._attempt(self._begin if self._file is None else self._append)

    def close(self, *, remove: bool) -> None:
        """End writing. remove: the file is not needed any more."""
        if self._file is not None:
            self._file.close()
        if remove:
            self.path.unlink(missing_ok=True)

    def _attempt(self, work: Any) -> None:
        try:
            work()
        except OSError:
            if self._file is not None:
                self._file.truncate(self._size)  # no line remains in part
        else:
            self._pending = b""

    def _begin(self) -> None:
        atomic_write(self.path, self._pending)
        self._size = len(self._pending)
        self._file = self.path.open("r+b", buffering=0)
        self._file.seek(self._size)

    def _append(self) -> None:
        self._file.seek(self._size)
        write_all(self._file, self._pending)
        self._size += len(self._pending)
        if time.monotonic() - self._synced > AT_LEAST:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()


def write_all(file: Any, data: bytes) -> None:
    """Write all bytes to an unbuffered file. Raises `OSError`."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(line, allow_nan=False).encode() + b"\n"
