"""A run of pytest as a person sees it: what it writes to a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def in_terminal(folder: Path, *words: str, **environment: str) -> str:
    """What pytest writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR", "FORCE_COLOR")}
    done = subprocess.Popen(
        [sys.executable, "-m", "pytest", *words], cwd=folder, stdout=theirs, stderr=theirs,
        stdin=subprocess.DEVNULL, env=clean | {"TERM": "xterm", "COLUMNS": "80"} | environment,
    )  # fmt: skip
    os.close(theirs)
    told = b"".join(_read(ours))
    os.close(ours)
    done.wait()
    return told.decode()


def _read(place: int) -> Iterator[bytes]:
    while True:
        try:
            some = os.read(place, 65536)
        except OSError:  # the other end is closed
            return
        if not some:
            return
        yield some
