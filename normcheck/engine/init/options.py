"""The options of `normcheck init`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from normcheck.engine.init.command import USUAL, InitCommand

EPILOG = """\
pyproject.toml gets a line for each normalizer with the conventions that were measured, and an expected finding for
each that is wrong today; .github/workflows/normcheck.yml is added if no service runs the tests yet. The difference is
shown first; without --yes nothing is written.
Exit status: 0, or 4 if the folder is no project.
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(
        prog="normcheck init", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Find the normalizers of a project, check them, and add them to its tests.", epilog=EPILOG,
    )  # fmt: skip
    made.add_argument("folder", nargs="?", type=Path, default=Path(), help="of the project (default: this one)")
    made.add_argument("--yes", action="store_true", help="write what is shown")
    made.add_argument("--effort", default=USUAL, metavar="EFFORT", help="of every run: smoke, quick, default or deep")
    made.add_argument("--jobs", type=int, default=0, metavar="N", help="how many at a time (default: one for a core)")
    return made


def command(words: Sequence[str]) -> tuple[InitCommand, bool]:
    """The command that the words of a command line ask for, and whether its changes are written."""
    given = parser().parse_args(list(words))
    return InitCommand(given.folder, given.effort, given.jobs), given.yes
