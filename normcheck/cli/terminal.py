"""What all commands share: exit statuses, and the width of the terminal."""

from __future__ import annotations

import shutil

INTERRUPTED, USAGE = 2, 4
"""pytest's exit statuses for a run that is interrupted, and for wrong usage."""


def columns() -> int:
    """The columns of the terminal, of which every text may use 80."""
    return max(80, shutil.get_terminal_size().columns)
