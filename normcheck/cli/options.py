"""The options of each command that has its own, as parsers: for the command, and for what a shell completes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def table() -> argparse.ArgumentParser:
    """Of `normcheck table`."""
    from normcheck.report.network_table import FORMS

    made = argparse.ArgumentParser(prog="normcheck table", allow_abbrev=False)
    made.add_argument("words", nargs="*", metavar="KIND | KIND=TARGET", help="rows; all kinds where none is named")
    made.add_argument("--of", action="append", default=[], metavar="TARGET", help="the row of a callable without entry")
    made.add_argument("--norm-contract", action="append", default=[], metavar="KEY=VALUE", help="of KIND=TARGET")
    for form in FORMS:
        made.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=f"as {form}")
    return made


def adapt() -> argparse.ArgumentParser:
    """Of `normcheck adapt`."""
    made = argparse.ArgumentParser(prog="normcheck adapt", allow_abbrev=False)
    made.add_argument("target", metavar="TARGET", help="package.module:Name or path/to/file.py:Name")
    made.add_argument("--as", dest="kind", default="", metavar="KIND", help="the kind that it is meant to be")
    return made


def docs() -> argparse.ArgumentParser:
    """Of `normcheck docs`."""
    made = argparse.ArgumentParser(
        prog="normcheck docs",
        description="Build the documentation as a site of static files; python -m http.server serves it.",
    )
    made.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where it is written")
    return made


def check() -> argparse.ArgumentParser:
    """Of `normcheck check`."""
    from normcheck.engine.batch.options import parser

    return parser()


def survey() -> argparse.ArgumentParser:
    """Of `normcheck survey`."""
    from normcheck.engine.survey.options import parser

    return parser()


def init() -> argparse.ArgumentParser:
    """Of `normcheck init`."""
    from normcheck.engine.init.options import parser

    return parser()


def report() -> argparse.ArgumentParser:
    """Of `normcheck report`."""
    from normcheck.cli.saved_runs import parser

    return parser()


PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    made.__name__: made for made in (check, survey, table, adapt, init, report, docs)
}
"""The parser of each command, which imports what the command needs."""
