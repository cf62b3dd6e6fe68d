"""The table [tool.normcheck] of a pyproject.toml, read strictly: what a project checks, and how.

[tool.normcheck]
implementations = ["layer_norm=mypkg.kernels:fast_layer_norm", "rms_norm[weight=1+w]=mypkg.norms:RMSNorm"]
packages = ["mypkg"]  # whose marked code is checked
contract = { eps-place = "outside" }  # of all of them
input_shapes = [[32, 768], [4, 16, 1024]]  # that are asked of all of them, beside those of the suite
effort = "quick"
strict = true
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from normcheck.core.contract import with_input_shapes
from normcheck.core.errors import UsageError, suggest

TABLES = ("tool", "normcheck")
"""The tables around the keys, from the outside in."""
ENTRIES = "expected"
"""The key of the findings that a project has accepted, which `accepted_file` reads."""
LISTS, TEXTS, SWITCHES, MAPPINGS = ("implementations", "packages"), ("effort",), ("strict",), ("contract",)
SHAPES = "input_shapes"
KEYS = (*LISTS, *TEXTS, *SWITCHES, *MAPPINGS, SHAPES, ENTRIES)


@dataclass(frozen=True, slots=True)
class ProjectTable:
    """What a project checks, beside the options of pytest: words KIND[KEY=VALUE ...]=TARGET, and packages with marks.

    contract: conventions of all of them, with the input shapes that are asked. effort: empty where none is chosen.
    """

    implementations: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    contract: Mapping[str, str] = field(default_factory=dict)
    effort: str = ""
    strict: bool = False


def project_table(path: Path) -> ProjectTable:
    """The table of a pyproject.toml, if it exists. Raises `UsageError` for what it cannot mean, with the line."""
    given = content_of(path, text_of(path)).get
    return ProjectTable(
        implementations=tuple(given("implementations", ())), packages=tuple(given("packages", ())),
        contract=with_input_shapes(given("contract", {}), given(SHAPES, None)),
        effort=given("effort", ""), strict=given("strict", False),
    )  # fmt: skip


def content_of(path: Path, text: str) -> dict[str, Any]:
    """The content of the table, empty where there is none. Raises `UsageError` for what it cannot mean."""
    content: Any = parsed(path, text)
    for name in TABLES:
        content = content.get(name, {})
        if not isinstance(content, dict):
            raise UsageError(f"{path.name}: {name} is {type_in_toml(content)}; write a table, [tool.normcheck]")
    for key, value in content.items():
        if key not in KEYS:
            raise UsageError(
                f"{line_of(path, text, key)}: [tool.normcheck] has an unknown key {key!r}; {suggest(key, KEYS)}"
            )
        if key == SHAPES:
            _require_shapes(line_of(path, text, key), value)
        elif key != ENTRIES:
            _require(f"{line_of(path, text, key)}: {key} of [tool.normcheck]", key, value)
    return dict(content)


def _require(what: str, key: str, value: Any) -> None:
    """Raise `UsageError` for a value that is not of its key's type."""
    if key in LISTS and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        example = '["mypkg"]' if key == "packages" else '["layer_norm=mypkg.kernels:fast_layer_norm"]'
        raise UsageError(f"{what} is {type_in_toml(value)}; write a list of texts, as in {key} = {example}")
    if key in TEXTS and not isinstance(value, str):
        raise UsageError(f'{what} is {type_in_toml(value)}; write a text, as in {key} = "quick"')
    if key in SWITCHES and not isinstance(value, bool):
        raise UsageError(f"{what} is {type_in_toml(value)}; write true or false")
    if key in MAPPINGS and not (isinstance(value, dict) and all(isinstance(one, str) for one in value.values())):
        raise UsageError(f'{what} is no table of texts; write it as in {key} = {{ eps-place = "outside" }}')


def _require_shapes(where: str, value: Any) -> None:
    try:
        with_input_shapes({}, value)
    except UsageError:
        example = f"{SHAPES} = [[32, 768], [4, 16, 1024]]"
        raise UsageError(f"{where}: {SHAPES} of [tool.normcheck] is no list of shapes, as in {example}") from None


def line_of(path: Path, text: str, key: str, index: int = 0) -> str:
    """The file with the line of a key of the table, or of the header of its table with that index, where it has one.

    Items of a list in brackets have the line of its key.
    """
    header, lines, found = "", text.splitlines(), []
    for number, line in enumerate(lines, 1):
        opened = re.match(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]", line)
        if opened:
            header = re.sub(r"[\s\"']", "", opened[1])
        at_key = header == ".".join(TABLES) and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line)
        if at_key or (opened and header == ".".join((*TABLES, key))):
            found.append(number)
    return f"{path.name}, line {found[min(index, len(found) - 1)]}" if found else path.name


def text_of(path: Path) -> str:
    """The text of a file, with its line ends; empty if there is no file. Raises `UsageError` if it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not UTF-8 (byte {error.start + 1}): save it as UTF-8") from None


def parsed(path: Path, text: str) -> dict[str, Any]:
    """The content of a TOML file. Raises `UsageError` for what is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path.name} is nested too deeply to be read: remove some of its brackets") from None
    except ValueError as error:
        raise UsageError(f"{path.name} cannot be read: {error}") from None


def type_in_toml(value: object) -> str:
    """The type of a value, as TOML names it, with its article."""
    names = {
        bool: "a boolean", int: "an integer", float: "a float", str: "a string", dict: "a table", list: "an array",
        datetime: "a date-time", date: "a date",
    }  # fmt: skip
    return names.get(type(value), "a time")
