"""The command `normcheck`: the property suite, Table 1, identification, explanations, saved runs, self-check."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from normcheck.core.claim import split_kind
from normcheck.core.errors import NormcheckError, UsageError, suggest
from normcheck.core.version import __version__

COMMANDS = ("table", "identify", "explain", "adapt", "report", "docs")
USAGE = 4
"""pytest's exit status for wrong usage."""

EPILOG = """\
normcheck layer_norm=mypkg.kernels:fast_layer_norm --norm-json out.json
normcheck table                                  Table 1 as measured on torch's own functions
normcheck identify mypkg.kernels:mystery         what an unknown callable is
normcheck adapt mypkg.kernels:odd --as rms_norm  a wrapper for a target with options, further inputs or a packed output
normcheck explain layer_norm | value | eps-ignored
normcheck report RUN.json --html OUT             a saved run as a page; --sarif, --gitlab, --badge, --markdown too
normcheck docs --out site                        the documentation as a site of static files
normcheck --self-check                           the kill rate at the settings in force
"""

TORCH = (
    "batch_norm=torch.nn.functional:batch_norm",
    "weight_norm=torch:_weight_norm",
    "layer_norm=torch.nn.functional:layer_norm",
    "rms_norm=torch.nn.functional:rms_norm",
    "group_norm=torch.nn.functional:group_norm",
    "instance_norm=torch.nn.functional:instance_norm",
)
"""The implementations that `normcheck table` measures by default."""


def _width() -> int:
    return max(80, shutil.get_terminal_size().columns)


def _is_claim(word: str, *, first: bool = True) -> bool:
    """Whether a word is KIND=TARGET, or, among the first words, TARGET; no option, and none of pytest's node ids.

    Behind an option a word with a colon may be its value, as in -p no:cacheprovider.
    """
    if word.startswith("-"):
        return False
    kind, target = split_kind(word)
    if kind or word.startswith("="):
        return kind.isidentifier()
    return first and re.fullmatch(r"[^:]+:[A-Za-z_][\w.]*(\(.*)?", target, re.DOTALL) is not None


def _pytest(arguments: Sequence[str]) -> int:
    """pytest with every [KIND=]TARGET as --norm; all other words are its own."""
    import pytest

    leading = next((i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    words: list[str] = []
    for i, word in enumerate(arguments):
        words += ["--norm", word] if _is_claim(word, first=i < leading) else [word]
    return int(pytest.main(words))


def _table(targets: Sequence[str], words: Sequence[str]) -> int:
    """Table 1, extended, as measured."""
    from normcheck.core.events import ClaimBound
    from normcheck.engine import verdict
    from normcheck.engine.claims import claims, conventions
    from normcheck.engine.run import TABLE_CHECKS, events
    from normcheck.engine.settings import Settings
    from normcheck.report.terminal import deviates, table

    seen = []
    for event in events(claims(targets or TORCH, conventions(words)), Settings("quick"), TABLE_CHECKS):
        if isinstance(event, ClaimBound) and event.outcome.reason:
            raise UsageError(event.outcome.reason)
        seen.append(event)
    run = verdict.document(seen, {})
    for text, _ in table(run["implementations"], _width()):
        print(text)
    return int(any(deviates(one) for one in run["implementations"]))


def _identify(target: str) -> int:
    from normcheck.identify.identify import identify
    from normcheck.report.card import card_lines

    for text in card_lines(identify(target).record(), _width()):
        print(text)
    return 0


def _explain(words: Sequence[str]) -> int:
    from normcheck.explain import pages
    from normcheck.report.page import lines

    if not words:
        for what, names in pages.words().items():
            for line in lines(what, [("", (", ".join(names),))], _width()):
                print(line)
            print()
    for word in words:
        page = pages.page(word)
        for line in lines(page.title, page.sections, _width()):
            print(line)
    return 0


def _adapt(words: Sequence[str]) -> int:
    """A wrapper for a target that cannot be called as it is."""
    from normcheck.engine.adapt import adapted

    parser = argparse.ArgumentParser(prog="normcheck adapt", allow_abbrev=False)
    parser.add_argument("target", metavar="TARGET", help="package.module:Name or path/to/file.py:Name")
    parser.add_argument("--as", dest="kind", default="", metavar="KIND", help="the kind that it is meant to be")
    given = parser.parse_args(list(words))
    print(adapted(given.target, given.kind))
    return 0


def _report(words: Sequence[str]) -> int:
    """A saved run in other forms."""
    from normcheck.report import files

    parser = argparse.ArgumentParser(prog="normcheck report", allow_abbrev=False)
    parser.add_argument("run", type=Path, metavar="RUN.json", help="a run saved with --norm-json, or its journal")
    for form, text in files.FORMS.items():
        parser.add_argument(f"--{form}", type=Path, metavar="FILE", help=text)
    given = vars(parser.parse_args(list(words)))
    run = _saved(given.pop("run"))
    paths = [(form, path) for form, path in given.items() if path is not None]
    if not paths:
        raise UsageError("report writes nothing: say what, as in normcheck report RUN.json --html OUT")
    files.require_places(paths)
    written = files.write_each(run, paths, Path.cwd())
    for path, failure in written.items():
        print(f"written: {path}" if not failure else f"not written: {failure}")
    return USAGE if any(written.values()) else 0


def _docs(words: Sequence[str]) -> int:
    """Build the site of the documentation."""
    parser = argparse.ArgumentParser(
        prog="normcheck docs",
        description="Build the documentation as a site of static files; python -m http.server serves it.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where it is written")
    out = parser.parse_args(list(words)).out
    from normcheck.explain import site

    print(f"{site.build(out)} pages; to read them: python -m http.server --directory {shlex.quote(str(out))}")
    return 0


def _saved(path: Path) -> dict[str, Any]:
    """A saved run: the document, or what the journal of a run that did not reach its end holds."""
    from normcheck.core.events import JOURNAL_SUFFIX
    from normcheck.report import files

    if path.suffix == ".jsonl":
        from normcheck.engine import journal

        return journal.read(path).document()
    run = files.read(path)
    later = path.with_name(path.name + JOURNAL_SUFFIX)
    if run.get("complete", True) and later.exists():
        print(f"normcheck: a later run did not reach its end: normcheck report {later}", file=sys.stderr)
    return run


def _self_check(conventions: Sequence[str]) -> int:
    """Print how many known faults the suite finds; status 1 if it misses one."""
    from normcheck.core.contract import contract
    from normcheck.engine.self_check import mutation_scores

    pairs = dict(pair.partition("=")[::2] for pair in conventions)
    promised = contract(pairs)
    found = list(mutation_scores(promised))
    through = [one for one in found if not one.check]
    settings = ", ".join(conventions) or "default settings"
    print(f"{len(found) - len(through)} of {len(found)} known faults are found ({settings})")
    for one in through:
        print(f"  gets through: {one.fault} in {one.kind}; see normcheck explain {one.fault}")
    return int(bool(through))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="normcheck", description="Check implementations of normalization layers.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("words", nargs="*", metavar="[KIND=]TARGET | COMMAND", help="what to check, or a command")
    parser.add_argument("--self-check", action="store_true", help="which known faults the suite finds")
    parser.add_argument("--norm-contract", action="append", default=[], metavar="KEY=VALUE",
                        help="a convention that differs from torch's")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"normcheck {__version__}")
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit status. Raises `UsageError` for unknown words."""
    own = {"report": _report, "adapt": _adapt, "docs": _docs}  # commands with options of their own
    if arguments and arguments[0] in own:
        return own[arguments[0]](arguments[1:])
    parser = _parser()
    known, rest = parser.parse_known_args(list(arguments))
    words: list[str] = known.words
    if known.self_check:
        return _self_check(known.norm_contract)
    if not words and not rest:
        parser.print_help()
        return 0
    first = words[0] if words else ""
    if first in ("table", "explain", "identify"):
        return _command(first, words[1:], known.norm_contract)
    if first and not _is_claim(first):
        raise UsageError(f"{first!r} is neither [KIND=]TARGET nor a command; {suggest(first, COMMANDS)}")
    return _pytest(arguments)


def _command(command: str, words: Sequence[str], conventions: Sequence[str]) -> int:
    """One of the commands that print their result."""
    if command == "table":
        return _table(words, conventions)
    if command == "explain":
        return _explain(words)
    if len(words) != 1:
        raise UsageError("identify takes one target, as in normcheck identify mypkg.kernels:mystery")
    return _identify(words[0])


def main() -> NoReturn:
    """The console script."""
    try:
        status = run(sys.argv[1:])
    except NormcheckError as error:
        print(f"normcheck: {error}", file=sys.stderr)
        status = USAGE
    except BrokenPipeError:  # the reader has seen enough, as in `normcheck table | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
