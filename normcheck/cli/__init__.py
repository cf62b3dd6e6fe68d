"""The command `normcheck`: the property suite, Table 1, identification, explanations, saved runs, self-check."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from normcheck.cli import options
from normcheck.cli.terminal import INTERRUPTED, USAGE, columns
from normcheck.core.claim import split_kind
from normcheck.core.errors import NormcheckError, UsageError, suggest
from normcheck.core.version import __version__

COMMANDS = ("check", "survey", "table", "identify", "explain", "adapt", "init", "report", "docs")
EPILOG = """\
normcheck layer_norm=mypkg.kernels:fast_layer_norm --norm-json out.json
normcheck check --many FILE.jsonl --out OUT.jsonl  many implementations, each in a process of its own
normcheck survey timm --out FOLDER               every normalizer of installed libraries, found and checked
normcheck table                                  Table 1 and more of all kinds, measured; --markdown, --latex, --html
normcheck table --of mypkg.kernels:mystery       the row of a callable; layer_norm=mypkg:f: of an implementation
normcheck identify mypkg.kernels:mystery         what an unknown callable is
normcheck adapt mypkg.kernels:odd --as rms_norm  a wrapper for a target with options, further inputs or a packed output
normcheck init                                   add the normalizers of this project to its pyproject.toml
normcheck explain layer_norm | value | eps-ignored | adding-a-normalizer
normcheck report RUN.json --html OUT             a saved run as a page; --sarif, --gitlab, --badge, --markdown too
normcheck report OLD.json NEW.json               what changed: causes, warnings, Table 1, accuracy, speed
normcheck docs --out site                        the documentation as a site of static files
normcheck --self-check                           the kill rate at the settings in force
"""


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


PAIRS = ("--norm", "--norm-contract", "-o", "--override-ini")
"""Options whose value, in the next word, may look like KIND=TARGET."""


def _pytest(arguments: Sequence[str]) -> int:
    """pytest with every [KIND=]TARGET as --norm; all other words are its own."""
    import pytest

    leading = next((i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    words: list[str] = []
    for i, word in enumerate(arguments):
        is_value = i > 0 and arguments[i - 1] in PAIRS
        words += ["--norm", word] if not is_value and _is_claim(word, first=i < leading) else [word]
    return int(pytest.main(words))


def _check(words: Sequence[str]) -> int:
    """Many implementations; an answer is a line of JSON, written when it is found."""
    from normcheck.engine.batch.options import command

    found, interrupted = command(words).run(lambda text: print(text, file=sys.stderr))
    if interrupted:
        return INTERRUPTED
    if any(one["usage"] for one in found):
        return USAGE
    return int(not found or any(one["verdict"] != "passed" or not one["compared"] for one in found))


def _survey(words: Sequence[str]) -> int:
    """Every normalizer of installed libraries; what is found is kept, so that the same command goes on."""
    from normcheck.engine.survey.options import command
    from normcheck.report.survey import files as survey_files

    asked, interrupted, unlike = command(words), False, []
    tell = lambda text: print(text, file=sys.stderr, flush=True)
    if asked.verify or asked.report:
        found = survey_files.saved(asked.out)
    else:
        if asked.timed:
            from normcheck.bench.brief import brief
        found, interrupted = asked.run(tell, brief if asked.timed else None)
    if asked.verify:
        from normcheck.engine.survey import reproductions

        found = reproductions.verified(found, tell)
        unlike = reproductions.unlike(found)
    written = [] if asked.report and not asked.verify else [*survey_files.write(found, asked.out / "survey")]
    if asked.report:
        written += survey_files.write(survey_files.told(found), asked.report)
    for path in written:
        print(f"written: {path}")
    if asked.verify or asked.report:
        return int(bool(unlike))
    return INTERRUPTED if interrupted else int(any(one["counts"].get("finding") for one in found["libraries"]))


def _init(words: Sequence[str]) -> int:
    """What a project lacks, shown as a difference and written if that is asked for."""
    from normcheck.engine.init.options import command

    asked, yes = command(words)
    plan = asked.plan(lambda text: print(text, file=sys.stderr, flush=True))
    for change in plan.changes:
        print(change.difference(asked.folder), end="")
        if yes:
            change.write()
    for remark in plan.remarks:
        print(remark)
    if not plan.changes:
        print("nothing to add")
    else:
        print("written" if yes else "nothing is written yet; to write it: normcheck init --yes")
    return 0


def _table(words: Sequence[str]) -> int:
    """The table of the field, or Table 1 of claims KIND=TARGET, as measured."""
    from normcheck.report.network_table import FORMS, text

    given = options.table().parse_args(list(words))
    if any(_is_claim(word) for word in given.words):
        return _claimed_table(given.words, given.norm_contract)
    from normcheck.engine.network_table import record
    from normcheck.engine.own_kinds import add_from

    add_from(Path.cwd())
    measured = record(given.words, given.of)
    print(text(measured) if given.form is None else FORMS[given.form](measured).rstrip())
    return 0


def _claimed_table(targets: Sequence[str], words: Sequence[str]) -> int:
    """Table 1, extended, as measured on implementations."""
    from normcheck.core.events import ClaimBound
    from normcheck.engine import verdict
    from normcheck.engine.claims import claims, conventions
    from normcheck.engine.run import TABLE_CHECKS, events
    from normcheck.engine.settings import Settings
    from normcheck.report.terminal.implementation import deviates, has_table_row, table

    seen = []
    for event in events(claims(targets, conventions(words)), Settings("quick"), TABLE_CHECKS):
        if isinstance(event, ClaimBound) and event.outcome.reason:
            raise UsageError(event.outcome.reason)
        seen.append(event)
    run = verdict.document(seen, {})
    measured = [one for one in run["implementations"] if has_table_row(one)]
    for text, _ in table(measured, columns()) if measured else ():
        print(text)
    for one in run["implementations"]:
        if one not in measured:
            print(f"{one['kind']}={one['target']}: no column of the table could be measured; the same command without "
                  "the word table, and with -v, says why")  # fmt: skip
    return int(any(deviates(one) for one in measured))


def _identify(target: str) -> int:
    from normcheck.engine.identified import identity_record
    from normcheck.report.terminal.card import card_lines

    for text in card_lines(identity_record(target), columns()):
        print(text)
    return 0


def _explain(words: Sequence[str]) -> int:
    from normcheck.engine.own_kinds import add_from
    from normcheck.explain import pages
    from normcheck.report.terminal.explained import index_lines, lines

    add_from(Path.cwd())
    if not words:
        for group in pages.index():
            for line in index_lines(group.title, group.pages, columns()):
                print(line)
            print()
    for word in words:
        page = pages.page(word)
        for line in lines(page.title, page.sections, columns()):
            print(line)
    return 0


def _adapt(words: Sequence[str]) -> int:
    """A wrapper for a target that cannot be called as it is."""
    from normcheck.engine.adapt import adapted

    given = options.adapt().parse_args(list(words))
    print(adapted(given.target, given.kind))
    return 0


def _report(words: Sequence[str]) -> int:
    """A saved run in other forms, or what changed from one saved run to another."""
    from normcheck.cli.saved_runs import report

    return report(words)


def _docs(words: Sequence[str]) -> int:
    """Build the site of the documentation."""
    out = options.docs().parse_args(list(words)).out
    from normcheck.explain import site

    print(f"{site.build(out)} pages; to read them: python -m http.server --directory {shlex.quote(str(out))}")
    return 0


def _version() -> int:
    """Print the versions that a report of a problem needs; no framework is imported for that."""
    from normcheck.engine.installed import versions

    print(f"normcheck {__version__}")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    return 0


def _self_check(conventions: Sequence[str], effort: str) -> int:
    """Print how many known faults the suite finds; status 1 if it misses one."""
    from normcheck.cli.progress import shown
    from normcheck.engine.claims import conventions as checked
    from normcheck.engine.self_check import rate_lines

    text, missed = rate_lines(checked(conventions), effort, shown)
    print("\n".join(text))
    return int(missed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="normcheck", description="Check implementations of normalization layers.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("words", nargs="*", metavar="[KIND=]TARGET | COMMAND", help="what to check, or a command")
    parser.add_argument("--self-check", action="store_true", help="which known faults the suite finds")
    parser.add_argument("--norm-contract", action="append", default=[], metavar="KEY=VALUE",
                        help="a convention that differs from torch's")  # fmt: skip
    parser.add_argument("--norm-effort", default="default", metavar="EFFORT", help="smoke, quick, default or deep")
    parser.add_argument("--version", action="store_true", help="this version, and those of the installed frameworks")
    return parser


def _with_own_options(command: Callable[[Sequence[str]], int], words: Sequence[str]) -> int:
    """The exit status of a command whose parser ends the process for wrong options, and for its help."""
    try:
        return command(words)
    except SystemExit as ended:  # for wrong options with 2, which is pytest's status for an interrupted run
        return USAGE if ended.code else 0


def run(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit status. Raises `UsageError` for unknown words."""
    # commands with options of their own
    own = {
        "check": _check,
        "survey": _survey,
        "report": _report,
        "adapt": _adapt,
        "docs": _docs,
        "table": _table,
        "init": _init,
    }
    if arguments and arguments[0] in own:
        return _with_own_options(own[arguments[0]], arguments[1:])
    parser = _parser()
    known, rest = parser.parse_known_args(list(arguments))
    words: list[str] = known.words
    if known.version:
        return _version()
    if known.self_check:
        return _self_check(known.norm_contract, known.norm_effort)
    if not words and not rest:
        parser.print_help()
        return 0
    first = words[0] if words else ""
    if first in ("explain", "identify"):
        return _command(first, words[1:])
    if first and not _is_claim(first):
        raise UsageError(f"{first!r} is neither [KIND=]TARGET nor a command; {suggest(first, COMMANDS)}")
    return _pytest(arguments)


def _command(command: str, words: Sequence[str]) -> int:
    """One of the commands that print their result."""
    if command == "explain":
        return _explain(words)
    if len(words) != 1:
        raise UsageError("identify takes one target, as in normcheck identify mypkg.kernels:mystery")
    return _identify(words[0])


def main() -> NoReturn:
    """The console script."""
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what may follow
        from normcheck.cli.completion import complete

        complete(COMMANDS)
    try:
        status = run(sys.argv[1:])
    except NormcheckError as error:
        print(f"normcheck: {error}", file=sys.stderr)
        status = USAGE
    except BrokenPipeError:  # the reader has seen enough, as in `normcheck table | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
