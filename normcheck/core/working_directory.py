"""The working directory as a place to import from."""

from __future__ import annotations

import sys
from pathlib import Path


def import_from_here() -> None:
    """Let modules of the working directory be found: python -m adds it to the path, an installed script does not."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
