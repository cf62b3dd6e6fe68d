"""Saved runs: written in other forms, or two of them compared."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from normcheck.cli.terminal import USAGE, columns
from normcheck.core.errors import UsageError
from normcheck.core.events import JOURNAL_SUFFIX
from normcheck.engine import journal
from normcheck.engine.batch import answers
from normcheck.report import files
from normcheck.report.terminal.comparison import compared


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(prog="normcheck report", allow_abbrev=False)
    made.add_argument("run", type=Path, metavar="RUN.json",
                      help="a run saved with --norm-json, its journal, or answers of check --many")  # fmt: skip
    made.add_argument("later", type=Path, nargs="?", metavar="LATER.json", help="print what changed in this run")
    for form, text in files.FORMS.items():
        made.add_argument(f"--{form}", type=Path, metavar="FILE", help=text)
    return made


def report(words: Sequence[str]) -> int:
    """A saved run in other forms, or what changed from one saved run to another."""
    given = vars(parser().parse_args(list(words)))
    place, later = given.pop("run"), given.pop("later")
    run = _saved(place)
    paths = [(form, path) for form, path in given.items() if path is not None]
    if later is not None:
        if paths:
            raise UsageError("two runs are compared in the terminal: give one run to write a file")
        return _compared(run, _saved(later), (str(place), str(later)))
    if not paths:
        raise UsageError("report writes nothing: say what, as in normcheck report RUN.json --html OUT")
    files.require_places(paths)
    written = files.write_each(run, paths, Path.cwd())
    for path, failure in written.items():
        print(f"written: {path}" if not failure else f"not written: {failure}")
    return USAGE if any(written.values()) else 0


def _compared(before: dict[str, Any], after: dict[str, Any], names: tuple[str, str]) -> int:
    """Print what changed; status 1 if something is worse."""
    lines, worse = compared(before, after, names, columns())
    print("\n".join(lines).strip())
    return int(worse)


def _saved(path: Path) -> dict[str, Any]:
    """A saved run: the document, what the journal of a run that did not reach its end holds, or answers of a batch."""
    if path.suffix == ".jsonl":
        return answers.document(path) if answers.are_in(path) else journal.read(path).document()
    run = files.read(path)
    later = path.with_name(path.name + JOURNAL_SUFFIX)
    if run.get("complete", True) and later.exists():
        print(f"normcheck: a later run did not reach its end: normcheck report {later}", file=sys.stderr)
    return run
