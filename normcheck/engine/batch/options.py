"""The options of `normcheck check --many`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from normcheck.core.limits import Limits
from normcheck.engine.batch.command import Command

EPILOG = """\
A line of the file is an object with some of

  {"id": 7, "kind": "layer_norm", "target": "mine.py:f", "contract": {"eps-place": "outside"}, "effort": "smoke"}

or, with "source" for "target", the code itself, which defines one public function or class, or ModelNew. A file of a
folder does the same; the arguments of ModelNew are those that its get_init_inputs returns, where it needs any.
Exit status: 0 if all pass, 1 if one does not, 2 if interrupted, 4 if a line or a target cannot be used.
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(
        prog="normcheck check", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Check many implementations, each in a process that is forked from one which has imported torch.",
        epilog=EPILOG,
    )  # fmt: skip
    made.add_argument("--many", type=Path, required=True, metavar="PATH",
                      help="a file of JSON lines, a Python file, or a folder of Python files")  # fmt: skip
    made.add_argument("--out", type=Path, metavar="FILE",
                      help="where answers are appended; those in it are kept (default: stdout)")  # fmt: skip
    made.add_argument("--jobs", type=int, default=0, metavar="N", help="how many at a time (default: one for a core)")
    made.add_argument("--kind", default="", metavar="KIND", help="of lines without a kind (default: it is found out)")
    made.add_argument(
        "--effort", default="default", metavar="EFFORT", help="of lines without an effort: smoke, quick, default, deep"
    )
    made.add_argument("--contract", action="append", default=[], metavar="KEY=VALUE",
                      help="a convention of lines without a contract (repeatable)")  # fmt: skip
    made.add_argument("--seconds", type=float, default=300.0, help="wall-clock time of one (default: 300)")
    made.add_argument("--gigabytes", type=float, default=4.0, help="memory of one (default: 4)")
    return made


def command(words: Sequence[str]) -> Command:
    """The command that the words of a command line ask for."""
    given = parser().parse_args(list(words))
    return Command(
        given.many, given.out, given.jobs, given.kind, tuple(given.contract), given.effort,
        Limits(given.seconds, given.gigabytes, given.seconds),
    )  # fmt: skip
