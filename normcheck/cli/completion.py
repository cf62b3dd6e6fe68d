"""What a shell completes of a command line: commands, kinds, files and their functions, options, conventions, pages.

argcomplete speaks with the shell (`pip install 'normcheck[completion]'`); this is the parser that it asks. Options are
those of a command that has its own, and else those of the plugin of pytest, which the command passes on. What follows
an option is decided by its metavar.
"""

from __future__ import annotations

import argparse
import ast
import os
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from normcheck.cli.options import PARSERS
from normcheck.core.contract import TRANSLATIONS, VALUES, Contract, values
from normcheck.core.floats import FORMATS
from normcheck.core.target import split
from normcheck.engine.search import EFFORTS
from normcheck.explain import pages

CLAIMED = ("",)
"""What precedes a KIND=TARGET."""
TARGETED = (*CLAIMED, "identify")
"""What precedes a TARGET."""


def complete(commands: Sequence[str]) -> None:
    """Answer the shell and end the process; without argcomplete there is no answer."""
    try:
        import argcomplete
    except ModuleNotFoundError:
        return
    first = os.environ.get("COMP_LINE", "").split()[1:2]
    made = of_command(first[0]) if first and first[0] in PARSERS else parser(commands)
    argcomplete.autocomplete(made, always_complete_options="long")


def of_command(name: str) -> argparse.ArgumentParser:
    """A parser of the command line of a command that has options of its own."""
    own = PARSERS[name]()
    for action in own._actions:  # noqa: SLF001  # argparse has no public list of its options
        _completed(action)
    made = argparse.ArgumentParser(prog="normcheck", add_help=False, allow_abbrev=False)
    made.add_subparsers().add_parser(name, parents=[own], add_help=False, allow_abbrev=False)
    return made


def parser(commands: Sequence[str]) -> argparse.ArgumentParser:
    """A parser of the whole command line with a completer for each word."""
    made = argparse.ArgumentParser(prog="normcheck", add_help=False, allow_abbrev=False)
    made.add_argument("words", nargs="*").completer = _Words(tuple(commands))  # type: ignore[attr-defined]
    for name in ("--self-check", "--version", "--help"):
        made.add_argument(name, action="store_true")
    for names, attributes in _of_plugin():
        _completed(made.add_argument(*names, **attributes))
    return made


def _completed(action: Any) -> None:
    """Give an option the completer of its metavar; argcomplete completes files, folders and choices itself."""
    several = str(action.metavar)
    if several in COMPLETERS:
        action.completer = lambda prefix, **_: list(COMPLETERS[several](prefix))
    elif several not in PATHS and action.type is not Path and not action.choices:
        action.completer = lambda **_: []  # numbers, reasons and libraries are no files


class _Options:
    """Takes the options of a plugin as pytest's parser does."""

    def __init__(self) -> None:
        self.taken: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def getgroup(self, *_: str) -> _Options:
        return self

    def addoption(self, *names: str, **attributes: Any) -> None:
        self.taken.append((names, attributes))

    def addini(self, *_: Any, **__: Any) -> None:
        """Nothing on a command line."""


def _of_plugin() -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Names and attributes of each option that the plugin adds to pytest."""
    (plugin,) = entry_points(group="pytest11", name="normcheck")
    given = _Options()
    plugin.load().pytest_addoption(given)
    return given.taken


class _Words:
    """Completes words that are no options: a command first, then what the command takes."""

    def __init__(self, commands: tuple[str, ...]) -> None:
        self._commands = commands

    def __call__(self, prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
        before = parsed_args.words or [""]
        command = before[0] if before[0] in self._commands else ""
        if command == "explain":
            return [name for names in pages.words().values() for name in names]
        found = [*self._commands] if before == [""] else []
        found += claims(prefix) if command in CLAIMED else ()
        found += targets(prefix) if command in TARGETED else _files(prefix)
        return found


def claims(prefix: str) -> Iterator[str]:
    """KIND= for each kind, and KIND=TARGET behind that."""
    kind, equals, target = prefix.partition("=")
    if equals:
        yield from (f"{kind}={one}" for one in targets(target))
    else:
        yield from (f"{name}=" for name in pages.words()["kinds"])


def conventions(prefix: str) -> Iterator[str]:
    """KEY= for each key of a contract, and its values behind that."""
    key, equals, _ = prefix.partition("=")
    if equals:
        yield from (
            f"{key}={value}" for value in {**VALUES, "translated": TRANSLATIONS, "formats": FORMATS}.get(key, ())
        )
    else:
        yield from (f"{name}=" for name in values(Contract()))


def kinds(prefix: str) -> Iterator[str]:
    """The name of each kind."""
    yield from pages.words()["kinds"]


def efforts(prefix: str) -> Iterator[str]:
    """The name of each effort."""
    yield from EFFORTS


def _kinds_or_claims(prefix: str) -> Iterator[str]:
    yield from claims(prefix) if "=" in prefix else [*kinds(prefix), *claims(prefix)]


def targets(prefix: str) -> Iterator[str]:
    """FILE.py: and folders, and behind the colon the functions and classes of the file, which is read and not run."""
    if ":" not in prefix:
        yield from _files(prefix, ".py", ":")
        return
    file = Path(split(prefix)[0])
    if file.suffix == ".py" and file.is_file():
        yield from (f"{prefix.partition(':')[0]}:{name}" for name in _defined(file))


def _defined(file: Path) -> Iterator[str]:
    """The public functions and classes of a file; none of one that is no Python."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name


def _files(prefix: str, suffix: str = "", then: str = "") -> Iterator[str]:
    """The folders that a path may begin with, and the files of a suffix."""
    head, slash, start = prefix.rpartition("/")
    folder = Path(head + slash or ".").expanduser()
    if not folder.is_dir():
        return
    for one in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if one.name.startswith(start) and not one.name.startswith("."):
            if one.is_dir():
                yield f"{head}{slash}{one.name}/"
            elif one.name.endswith(suffix):
                yield f"{head}{slash}{one.name}{then}"


PATHS = ("FILE", "RUN.json")
"""Metavars of options that take a path."""
COMPLETERS: dict[str, Callable[[str], Iterator[str]]] = {
    "KIND": kinds,
    "TARGET": targets,
    "[KIND=]TARGET": claims,
    "KIND | KIND=TARGET": _kinds_or_claims,
    "KEY=VALUE": conventions,
    "EFFORT": efforts,
}
"""What may stand for a metavar, given the beginning of it."""
