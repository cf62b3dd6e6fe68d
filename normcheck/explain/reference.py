"""Pages of the reference that are generated from the code: the command line, the record of a run, the Python API."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.resources import files
from tempfile import TemporaryDirectory
from typing import Any

from normcheck.core.errors import UsageError

HEADING = "normalization layers: "
"""What the titles of the plugin's groups begin with in the help of pytest."""

UNWRAPPED, READABLE = "10000", "88"
"""Widths of a terminal: so wide that no help is wrapped, and that of a block of code on the page."""

_ODD = str.maketrans({"|": "\\|", "<": "&lt;", "*": "\\*", "_": "\\_", "[": "\\[", "$": "\\$"})
"""Characters that have a meaning in a table of Markdown."""


def _printed(*words: str, columns: str = READABLE) -> str:
    """What a Python module prints, in an empty folder. Raises `UsageError` if it fails."""
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "COLUMNS": columns, "PYTEST_ADDOPTS": "", "NO_COLOR": "1"}
        done = subprocess.run(  # noqa: S603  # this interpreter, with words of this module
            [sys.executable, "-P", "-m", *words], cwd=folder, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    if done.returncode:
        raise UsageError(f"{' '.join(words)} fails, which the site is built from: {done.stderr.strip()}")
    return done.stdout


def command_line() -> str:
    """Options of pytest by group, keys of its ini table, and the commands."""
    text = _printed("pytest", "--help", columns=UNWRAPPED)
    lines = ["# Options, as the program has them", "", "What `pytest --help` and `normcheck --help` print."]
    for title, example, options in _groups(text):
        lines += ["", f"## {title[:1].upper()}{title[1:]}", "", f"```\n{example}\n```", "", "| option | what it does |"]
        lines += ["|---|---|", *(f"| `{name}` | {said.translate(_ODD)} |" for name, said in options)]
    keys = re.findall(r"^  (norm\w*) \((\w+)\):\s+(.*)$", text, re.MULTILINE)
    lines += ["", "## Keys of pytest's ini table", "", "| key | type | what it does |", "|---|---|---|"]
    lines += [f"| `{key}` | {of} | {said.translate(_ODD)} |" for key, of, said in keys]
    commands = _printed("normcheck", "--help")
    lines += ["", "## Commands", "", f"```\n{commands.rstrip()}\n```"]
    for name in dict.fromkeys(re.findall(r"^normcheck ([a-z]+) ", commands, re.MULTILINE)):
        if (own := _printed("normcheck", name, "--help")) != commands:
            lines += ["", f"### normcheck {name}", "", f"```\n{own.rstrip()}\n```"]
    return "\n".join(lines) + "\n"


def _groups(text: str) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Each group of the plugin: title, example, options with their help."""
    for part in re.split(r"\n(?=\S)", text):
        title, _, rest = part.partition("\n")
        if title.startswith(HEADING):
            example = re.search(r"example: (.*)", rest)
            options = re.findall(r"^  (--\S+?)(?: {2,}|\n {10,})(\S.*)$", rest, re.MULTILINE)
            yield title.removeprefix(HEADING).rstrip(":"), example[1] if example else "", options


RECORD = """\
What `pytest --norm ... --norm-json run.json` writes and `normcheck report run.json` reads: one JSON document, here as
the schema beside the package has it (`normcheck/report/schema.json`)."""


def record() -> str:
    """The JSON document of a run: each property of the schema."""
    schema = json.loads((files("normcheck") / "report" / "schema.json").read_text(encoding="utf-8"))
    lines = [
        "# The record of a run",
        "",
        RECORD,
        *_table("The document", schema),
    ]
    for name, part in schema["$defs"].items():
        if "properties" in part:
            lines += _table(name, part)
        else:
            lines += ["", f"## {name}", "", f"{_type(part)}. {part.get('description', '')}".rstrip()]
    return "\n".join(lines) + "\n"


def _table(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## {name}", "", "| property | type | meaning |", "|---|---|---|")
    yield from _rows("", part)


def _rows(above: str, part: Mapping[str, Any]) -> Iterator[str]:
    """A row for each property, and for those inside of it."""
    for key, value in part.get("properties", {}).items():
        may = "" if key in part.get("required", ()) else " (may be absent)"
        yield f"| `{above}{key}`{may} | {_type(value)} | {value.get('description', '').translate(_ODD)} |"
        for inner in (value, value.get("items", {}), value.get("additionalProperties"), *value.get("anyOf", ())):
            if isinstance(inner, dict):
                yield from _rows(f"{above}{key}.", inner)


def _type(value: Mapping[str, Any]) -> str:
    """The type of a value in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "enum" in value:
        return ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    if "anyOf" in value:
        return " or ".join(_type(one) for one in value["anyOf"])
    named = value.get("type", "any")
    if named == "array" and "items" in value:
        return f"array of {_type(value['items'])}"
    if named == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"object of {_type(value['additionalProperties'])}"
    return " or ".join(named) if isinstance(named, list) else str(named)


def api() -> str:
    """The public names of the package: signature and documentation of each, and of what a class offers."""
    lines = ["# Python API", "", "`import normcheck` offers these names, and no others."]
    package: Any = import_module("normcheck")  # as a user's program finds it, whatever rooms the names are from
    public: list[str] = package.__all__
    for name in sorted(public, key=str.lower):
        value = getattr(package, name)
        if not callable(value):
            lines += ["", f"## {name.translate(_ODD)}", "", f"A text: the version, here `{value}`."]
            continue
        lines += ["", f"## {name}", "", *_documented(name, value)]
        for member, inner in _members(value):
            lines += ["", f"### {name}.{member}", "", *_documented(member, inner)]
    return "\n".join(lines) + "\n"


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """Public functions and properties that a class defines, with a text of their own."""
    for name, member in vars(value).items() if inspect.isclass(value) else ():
        inner = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(inner):
            yield name, member if isinstance(member, property) else inner


def _documented(name: str, value: Any) -> Iterator[str]:
    """Signature and documentation in Markdown; what a prompt shows is code."""
    if not isinstance(value, property):
        yield f"```python\n{_signature(name, value)}\n```\n"
    text = inspect.getdoc(value) or ""
    for paragraph in re.split(r"\n{2,}", text):
        yield f"```pycon\n{paragraph}\n```\n" if paragraph.startswith(">>>") else _prose(paragraph) + "\n"


def _prose(paragraph: str) -> str:
    """A paragraph whose code, between backticks, stays as it is."""
    parts = paragraph.split("`")
    return "`".join(part if i % 2 else part.translate(_ODD) for i, part in enumerate(parts))


def _signature(name: str, value: Any) -> str:
    """A call with the types of its arguments, an argument a line where one line is too long."""
    try:
        signature = inspect.signature(value)
    except ValueError:  # an exception that takes what all exceptions take
        return f"{name}(*args)"
    text = name + _plain(str(signature))
    if len(text) <= int(READABLE):
        return text
    made = [_plain(str(one)) for one in signature.parameters.values()]
    returned = text.rpartition(" -> ")[2] if " -> " in text else ""
    return "\n".join([f"{name}(", *(f"    {one}," for one in made), ")" + (f" -> {returned}" if returned else "")])


def _plain(text: str) -> str:
    """A signature without the quotes of annotations, and without values that Python cannot write."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", re.sub(r"<[^<>]*>", "...", text))


PAGES: dict[str, Callable[[], str]] = {"command_line": command_line, "record": record, "api": api}
"""Each page of this kind by the name of its file."""
