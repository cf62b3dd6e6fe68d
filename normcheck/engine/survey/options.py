"""The options of `normcheck survey`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from normcheck.core.errors import UsageError
from normcheck.core.limits import Limits
from normcheck.engine.survey.command import SurveyCommand

EPILOG = """\
The folder gets survey.jsonl, a line for each module and each callable, written when it is found; survey.json, .md and
.html, written at the end. The same command goes on where it was ended, even by SIGKILL.
Exit status: 0 if no check fails, 1 if one does under the conventions that were measured, 2 if interrupted.

Of a survey that was made: --verify runs the script of each finding in an interpreter that cannot import normcheck, and
writes what it shows into the same files (exit status 1 if one shows something else than was reported); --report STEM
writes STEM.json, .md and .html: what the survey tells, without the paths of this machine.
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(
        prog="normcheck survey", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Find every normalizer of installed libraries by name and behavior, and check each in a process.",
        epilog=EPILOG,
    )  # fmt: skip
    made.add_argument("libraries", nargs="*", metavar="LIBRARY",
                      help="a package or module, as torch.nn (default: all that import a framework)")  # fmt: skip
    made.add_argument("--out", type=Path, default=Path("normcheck-survey"), metavar="FOLDER",
                      help="where it is written, and goes on (default: normcheck-survey)")  # fmt: skip
    made.add_argument("--jobs", type=int, default=0, metavar="N", help="how many at a time (default: one for a core)")
    made.add_argument(
        "--effort", default="quick", metavar="EFFORT", help="of each check: smoke, quick (default), default, deep"
    )
    made.add_argument("--seconds", type=float, default=120.0, help="wall-clock time of one (default: 120)")
    made.add_argument("--gigabytes", type=float, default=4.0, help="memory of one (default: 4)")
    made.add_argument("--no-speed", action="store_true", help="do not time what is right beside torch's function")
    made.add_argument("--verify", action="store_true", help="run the scripts of the findings of the survey in FOLDER")
    made.add_argument("--report", type=Path, metavar="STEM", help="write a report of the survey in FOLDER")
    return made


def command(words: Sequence[str]) -> SurveyCommand:
    """The command that the words of a command line ask for."""
    given = parser().parse_args(list(words))
    limits = Limits(given.seconds, given.gigabytes, given.seconds)
    if given.libraries and (given.verify or given.report):
        raise UsageError("--verify and --report are about the survey in the folder --out: name no library")
    return SurveyCommand(
        tuple(given.libraries),
        given.out,
        given.jobs,
        given.effort,
        limits,
        given.verify,
        given.report,
        timed=not given.no_speed,
    )
