"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

BESIDE = ".normcheck-{number}.tmp"
"""Appended to the name of a file while its new content is written."""


OPEN = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
"""Paths that stand for what is open; where that is a pipe it has no path of its own."""


def is_device(path: Path) -> bool:
    """Whether a path is no ordinary file, or stands for one that is open, as /dev/stdout does: it is not replaced."""
    if str(path) in OPEN or path.parent == Path("/dev/fd"):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file: first beside it, then in its place, so that it never holds a part. Raises `OSError`.

    A link is followed. What is no ordinary file, as /dev/stdout, is written to directly.
    """
    if is_device(path):
        with path.open("ab") as file:  # it may stand for a file to which others write too
            file.write(data)
        return
    place = Path(os.path.realpath(path))
    beside = place.with_name(place.name + BESIDE.format(number=os.getpid()))
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            beside.chmod(place.stat().st_mode & 0o7777)
        beside.replace(place)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def try_write(path: Path) -> None:
    """Find out whether a file could be written, without changing it; makes its folder. Raises `OSError`."""
    if is_device(path) and path.exists():
        return
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise IsADirectoryError(None, "it is a folder: name a file in it", str(path))
    if place.exists() and not os.access(place, os.W_OK):
        raise PermissionError(None, "it may not be written: name another file, or change its permissions", str(path))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(None, "what should be its folder is a file: name another", str(path)) from None
    beside = place.with_name(place.name + BESIDE.format(number=os.getpid()))
    try:
        beside.touch()
    finally:
        beside.unlink(missing_ok=True)
