"""A file that is replaced as a whole: at any moment there is the old content or the new one, never a part."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file next to `path`, and put it in its place, with the permissions of the old one.

    A link is followed, so that it stays one. Raises `OSError` if the file cannot be written; then nothing has changed.
    """
    place = path.resolve()
    new = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            new.chmod(place.stat().st_mode & 0o7777)
        new.replace(place)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
