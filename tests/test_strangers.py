"""The lists of code written by strangers agree with the files beside them."""

from __future__ import annotations

import ast
import importlib.util
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import strangers

from normcheck.families import ENTRIES, FAULTS

FIELDS = {"wrong": {"target", "kind", "mistake", "causes", "source"}, "right": {"target", "kind"}}
FILES = sorted(strangers.HERE.glob("*/*.py"))
PIECES = list(strangers.pieces())
LEAST = {"wrong": 80, "right": 40}


def place(one: dict[str, Any]) -> tuple[Path, str]:
    """The file of a piece, and its name there."""
    file, _, own = one["target"].partition(":")
    return strangers.HERE / one["folder"] / file, own


def definitions(file: Path) -> Iterator[tuple[str, str]]:
    """Public classes, functions and pairs of a file that are no part of a pair, each with what it consists of."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    pairs = [node for node in body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)]
    halves = {name.id for node in pairs for name in ast.walk(node.value) if isinstance(name, ast.Name)}
    for node in body:
        if node in pairs:
            yield node.targets[0].id, f"{file} {ast.dump(node.value)}"
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name not in halves and node.name[0] != "_":
            own = node.name
            node.name = ""
            if ast.get_docstring(node) is not None:
                del node.body[0]
            yield own, f"{file.name} {ast.dump(node)}" if isinstance(node, ast.ClassDef) else ast.dump(node)


@cache
def loaded(file: Path) -> ModuleType:
    """The module of a file."""
    spec = importlib.util.spec_from_file_location(f"strangers_{file.parent.name}_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit.script
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("folder", FIELDS)
def test_every_piece_is_listed(folder: str) -> None:
    """What is public in a file is one piece, and every piece is in its list once."""
    defined = [(file, own) for file in FILES if file.parent.name == folder for own, _ in definitions(file)]
    listed = [place(one) for one in PIECES if one["folder"] == folder]

    assert sorted(listed) == sorted(defined)
    assert len(listed) >= LEAST[folder]


@pytest.mark.parametrize("folder", FIELDS)
def test_fields(folder: str) -> None:
    """A piece has the fields of its list, a kind and causes that exist, and one sentence on its mistake."""
    for one in PIECES:
        if one["folder"] == folder:
            assert set(one) - {"folder", "contract"} == FIELDS[folder], one["target"]
            assert one["kind"] in ENTRIES, one["target"]
            assert set(one.get("causes", ())) <= set(FAULTS), one["target"]
            assert one.get("mistake", ".").count(". ") == 0, one["target"]


def test_every_target_imports() -> None:
    """Each file runs, and has each name that the lists have."""
    assert [one["target"] for one in PIECES if not hasattr(loaded(place(one)[0]), place(one)[1])] == []


def test_no_two_are_the_same() -> None:
    """No piece is another one under another name, and no mistake of a kind occurs twice."""
    code = [what for file in FILES for _, what in definitions(file)]
    mistakes = [(one["kind"], one["mistake"]) for one in PIECES if one["folder"] == "wrong"]

    assert len(set(code)) == len(code)
    assert len(set(mistakes)) == len(mistakes)


def test_a_fault_that_is_none_is_a_miss() -> None:
    """Where the catalog has no name for a mistake, no name of it is right."""
    one = {"folder": "wrong", "mistake": "m", "causes": []}
    said = {"ok": False, "checks": ["value"], "causes": ["unexplained"], "error": ""}

    assert strangers.miss(one, said) == ""
    assert strangers.miss(one, {**said, "causes": ["bias-ignored"]}).endswith("expected no known fault")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"ok": True}, "passed though wrong: m"),
        ({"checks": ["value"], "causes": ["dx-missing"]}, "cause named dx-missing by value, expected bias-ignored"),
        ({"checks": ["value"], "causes": ["bias-ignored"]}, ""),
        ({"refused": "no"}, "refused: no"),
        ({"error": "KeyError: 1"}, "internal error: KeyError: 1"),
    ],
)
def test_a_miss_is_a_line(said: dict[str, Any], line: str) -> None:
    """What a verdict has otherwise than the list is told in one line."""
    one = {"folder": "wrong", "mistake": "m", "causes": ["bias-ignored"]}
    said = {"ok": False, "checks": [], "causes": [], "error": ""} | said

    assert strangers.miss(one, said) == line
    assert strangers.miss({"folder": "right"}, {**said, "ok": True, "error": "", "refused": ""}) == ""


def test_the_table_counts() -> None:
    """Found, named and passed are counted by family; named only of what was found and has a name."""
    said = {"ok": False, "checks": ["value"], "causes": ["bias-ignored"], "error": ""}
    wrong = {"folder": "wrong", "kind": "layer_norm", "causes": ["bias-ignored"]}
    right = {"folder": "right", "kind": "path_sgd"}
    passed = {**said, "ok": True, "checks": [], "causes": []}
    done = [(wrong, said), ({**wrong, "causes": []}, said), (wrong, passed), (right, passed)]

    assert [" ".join(row.split()) for row in strangers.table(done)][1:] == [
        "normalizers 2 of 3 1 of 1 -",
        "path_optimizer - - 1 of 1",
        "all 2 of 3 1 of 1 1 of 1",
    ]
