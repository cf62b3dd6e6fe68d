"""Which room of normcheck may import which, and the sizes and names of its files.

A room is a folder or a file directly below `normcheck`. ARCHITECTURE.md draws the same graph.
"""

from __future__ import annotations

import ast
import importlib
import re
import tomllib

import pytest
from source_tree import (
    FILES,
    MODULE_GRAPH,
    ROOM_GRAPH,
    ROOMS,
    ROOT,
    TREES,
    circles,
    imports,
    matches,
    own_imports,
    own_name,
    place,
    room,
)

from normcheck.families import CHECKS_BY_NAME

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "core": (),
    "implementations": (),
    "report": ("core",),
    "normalizers": ("core",),
    "frameworks": ("core", "normalizers"),
    "testing": ("core", "normalizers", "frameworks"),
    "diagnosis": ("core", "normalizers"),
    "identify": ("core", "normalizers", "frameworks"),
    "bench": ("core", "normalizers", "frameworks"),
    "families": ("core", "normalizers", "frameworks", "diagnosis", "identify"),
    "engine": ("core", "frameworks", "families"),
    "explain": ("core", "families"),
    "api": ("core", "report", "engine"),
    "pytest_plugin": ("core", "bench", "families", "report", "engine"),
    "cli": ("core", "bench", "report", "engine", "explain"),
    "properties": ("normalizers", "families"),
}
"""Each room, with the rooms that it may import. Every one of these permissions is used."""

MOST_PERMISSIONS = 40

NEVER: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str], ...] = (
    (
        "report",
        ("core",),
        (
            "core.atomic_write",
            "core.errors",
            "core.foreign_code",
            "core.result",
            "core.safe_text",
            "core.target",
            "core.version",
        ),
        "a report reads plain records, also those of a saved run",
    ),
    (
        "normalizers.reference",
        tuple(f"normalizers.{one}" for one in ("bounds", "checks", "faults", "sampling", "subject", "variants")),
        (),
        "the reference is what is true, and depends on nothing that is compared with it",
    ),
    (
        "normalizers.bounds",
        tuple(f"normalizers.{one}" for one in ("checks", "faults", "sampling", "subject", "variants")),
        (),
        "a bound follows from the reference's results only",
    ),
    (
        "normalizers.checks",
        tuple(f"normalizers.{one}" for one in ("catalog", "faults", "variants")),
        (),
        "a check takes the normalizer from its subject, and does not know the faults that it finds",
    ),
    ("normalizers.faults", ("normalizers.checks",), (), "a fault does not know the checks that find it"),
    (
        "families.*.reference",
        tuple(f"families.*.{one}" for one in ("bounds", "checks", "faults", "space", "subject", "torch", "jax")),
        (),
        "the reference is what is true, and depends on nothing that is compared with it",
    ),
    (
        "families.*.checks",
        ("families.*.faults", "families.*.torch", "families.*.jax"),
        (),
        "a check knows neither the faults that it finds nor a framework",
    ),
    (
        "properties",
        ("normalizers", "families"),
        ("*.checks",),
        "a property names the checks that it runs, nothing else",
    ),
)
"""Inside rooms: a module that matches the first may not import what matches the second, but for the third; why."""

LIBRARIES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "torch": (
        ("torch", "normcheck.frameworks.torch"),
        ("frameworks.torch", "families.*.torch", "families.*.torch_*", "implementations", "bench"),
        "a framework is imported only if a target belongs to it: reach it through frameworks.registry",
    ),
    "jax": (
        ("jax", "flax", "equinox", "haiku", "normcheck.frameworks.jax"),
        ("frameworks.jax", "frameworks.jax_*", "frameworks.keras.on_jax", "families.*.jax"),
        "a framework is imported only if a target belongs to it: reach it through frameworks.registry",
    ),
    "onnx": (
        ("onnx", "onnxruntime", "normcheck.frameworks.onnx"),
        ("frameworks.onnx",),
        "a framework is imported only if a target belongs to it: reach it through frameworks.registry",
    ),
    "mlx": (
        ("mlx", "normcheck.frameworks.mlx"),
        ("frameworks.mlx",),
        "a framework is imported only if a target belongs to it: reach it through frameworks.registry",
    ),
    "tensorflow": (
        ("tensorflow", "normcheck.frameworks.tensorflow"),
        ("frameworks.tensorflow", "frameworks.keras.on_tensorflow"),
        "a framework is imported only if a target belongs to it: reach it through frameworks.registry",
    ),
    "keras": (
        ("keras", "normcheck.frameworks.keras"),
        ("frameworks.keras",),
        "a framework is imported only if a target belongs to it: reach it through frameworks.registry",
    ),
    "tinygrad": (
        ("tinygrad", "normcheck.frameworks.tinygrad"),
        ("frameworks.tinygrad",),
        "a framework is imported only if a target belongs to it: reach it through frameworks.registry",
    ),
    "paddle": (
        ("paddle", "normcheck.frameworks.paddle"),
        ("frameworks.paddle",),
        "a framework is imported only if a target belongs to it: reach it through frameworks.registry",
    ),
    "hypothesis": (("hypothesis",), ("engine",), "only the engine searches"),
    "pytest": (("pytest", "_pytest"), ("pytest_plugin", "properties", "cli"), "the engine works without pytest"),
}
"""A library: the modules whose import counts, who may import them, and why nobody else."""

LARGEST = 320
LARGER = {"*.faults": "known faults are data: one short entry each, read by looking one up"}
"""Modules that may be larger, each with the reason."""

NAMES_OF_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}

PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "action.yml", ".pre-commit-hooks.yaml", ".ci/run")


def forbidden(name: str, tree: ast.AST) -> list[str]:
    """A sentence for every import that the rules between and inside rooms do not allow."""
    mine, out = room(name), []
    allowed = (mine, *MAY_IMPORT.get(mine, ()))
    for module, line in own_imports(tree):
        if room(module) not in allowed:
            out.append(f"{line}: imports {module}; {mine} may import {', '.join(allowed[1:]) or 'no other room'}")
        out += [
            f"{line}: imports {module}; {why}"
            for who, whom, but, why in NEVER
            if matches(name, who) and matches(module, *whom) and not matches(module, *but)
        ]
        family = module.split(".")[:2] if matches(module, "families.*") else []
        if family and mine not in ("families", "properties"):
            out.append(f"{line}: imports {module}; a family is reached through the list in families")
        if family and mine == "families" and name != "families" and name.split(".")[:2] != family:
            out.append(f"{line}: imports {module}; no family imports another")
    return out


def foreign(name: str, tree: ast.AST) -> list[str]:
    """A sentence for every import of a library where it may not be imported."""
    return [
        f"{line}: imports {module}; {why}"
        for modules, rooms, why in LIBRARIES.values()
        if not matches(name, *rooms)
        for module, line in imports(tree)
        if matches(module, *modules)
    ]


def test_every_room_has_a_rule() -> None:
    """A new room is added to MAY_IMPORT and to ARCHITECTURE.md; a room that is gone is removed."""
    assert sorted(MAY_IMPORT) == ROOMS


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_import_what_they_may(name: str) -> None:
    """Imports between rooms and inside them follow the rules."""
    found = [f"{place(module, 0)[:-1]}{said}" for module in FILES if room(module) == name
             for said in forbidden(module, TREES[module])]  # fmt: skip

    assert not found, "\n".join(found)


def test_no_permission_is_unused() -> None:
    """There are few permissions, and each of them occurs as an import."""
    permissions = {(one, other) for one, others in MAY_IMPORT.items() for other in others}

    assert permissions - {(one, other) for one, others in ROOM_GRAPH.items() for other in others} == set()
    assert len(permissions) <= MOST_PERMISSIONS


def test_no_rule_is_idle() -> None:
    """Every module pattern of a rule inside rooms matches a module."""
    patterns = {pattern for who, whom, but, _ in NEVER for pattern in (who, *whom, *but)}

    assert {pattern for pattern in patterns if not any(matches(name, pattern) for name in FILES)} == set()


def test_no_circle() -> None:
    """No chain of imports leads back to where it started, neither between rooms nor between modules."""
    assert circles(ROOM_GRAPH) == set()
    assert circles(MODULE_GRAPH) == set()


def test_circles_are_seen() -> None:
    """Nodes on a circle are found; those before and behind it are not on it."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == {"b", "c"}
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == set()


def test_libraries_stay_in_their_rooms() -> None:
    """torch and jax are known to their adapters, hypothesis to the engine, pytest to the plugin."""
    found = [f"{place(name, 0)[:-1]}{said}" for name in FILES for said in foreign(name, TREES[name])]

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("core.new", "from normcheck import families", "core may import no other room"),
        ("normalizers.new", "import normcheck.frameworks.load", "normalizers may import core"),
        ("engine.new", "def f():\n    from normcheck.normalizers import catalog", "engine may import core, frameworks"),
        ("report.new", "from normcheck.core.claim import Implementation", "plain records"),
        ("normalizers.reference.new", "from normcheck.normalizers import bounds", "what is true"),
        ("normalizers.bounds.new", "from normcheck.normalizers.checks import laws", "reference's results"),
        ("normalizers.checks.new", "from normcheck.normalizers.catalog import ALL", "from its subject"),
        ("families.whitening.new", "from normcheck.families.recurrent.entry import Recurrent", "no family imports"),
        ("families.whitening.reference.new", "from normcheck.families.whitening import checks", "what is true"),
        ("engine.new", "from normcheck.families.recurrent import entry", "reached through the list"),
        ("properties.new", "from normcheck.normalizers import catalog", "names the checks"),
    ],
)
def test_forbidden_imports_are_seen(name: str, code: str, said: str) -> None:
    """An import of a module or of a name, at the top or in a function, that breaks a rule is seen."""
    (found,) = forbidden(name, ast.parse(code))

    assert said in found


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("core.new", "from normcheck.core.errors import UsageError"),
        ("report.new", "from normcheck.core import errors, result"),
        ("families.whitening.new", "from normcheck.families.whitening.entry import Whitening"),
        ("families", "from normcheck.families import recurrent, whitening"),
        ("engine.new", "from normcheck.families import CHECKS\nfrom normcheck import families"),
        ("properties.new", "from normcheck.families.recurrent.checks import laws"),
    ],
)
def test_allowed_imports_pass(name: str, code: str) -> None:
    """What the rules allow is not reported."""
    assert forbidden(name, ast.parse(code)) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("engine.new", "import torch.nn"),
        ("frameworks.binder", "def f():\n    from torch import nn"),
        ("identify.new", "from normcheck.frameworks.torch.tensors import one_thread"),
        ("frameworks.jax", "from normcheck.frameworks.torch import tensors"),
        ("frameworks.torch.new", "from jax import numpy"),
        ("core.new", "from hypothesis import given"),
        ("engine.new", "import pytest"),
        ("report.new", "import _pytest.config"),
    ],
)
def test_foreign_imports_are_seen(name: str, code: str) -> None:
    """A library outside its rooms is seen, and so is the adapter that imports it."""
    assert len(foreign(name, ast.parse(code))) == 1


def test_imports_are_absolute() -> None:
    """Every import names its module in full."""
    found = [place(name, line) for name, tree in TREES.items() for module, line in imports(tree)
             if module.startswith(".")]  # fmt: skip

    assert found == []
    assert list(imports(ast.parse("from . import errors\nfrom .core import ask"))) == [(".", 1), (".core", 2)]


def drawn_edges(page: str) -> set[tuple[str, str]]:
    """The arrows of the Mermaid graph on a page; `a & b --> c & d` are four."""
    (graph,) = re.findall(r"```mermaid\n(.*?)```", page, flags=re.DOTALL)
    sides = [line.split("-->") for line in graph.splitlines() if "-->" in line]
    words = [[re.findall(r"\w+", side) for side in pair] for pair in sides]
    return {(one, other) for left, right in words for one in left for other in right}


def test_the_picture_is_true() -> None:
    """The arrows in ARCHITECTURE.md are the imports between rooms."""
    real = {(one, other) for one, others in ROOM_GRAPH.items() for other in others}

    assert drawn_edges((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")) == real


def test_arrows_are_read() -> None:
    """Several nodes on a side of an arrow are several arrows."""
    page = "text --> text\n```mermaid\ngraph TD\n  api --> engine\n  a & b --> core & report\n```\n"

    assert drawn_edges(page) == {("api", "engine"), ("a", "core"), ("a", "report"), ("b", "core"), ("b", "report")}


def missing_paths(text: str) -> list[str]:
    """Paths in a page that match no file of this project; `NAME` and `*` stand for any name."""
    found = re.findall(r"(?<![\w/.])(?:normcheck|properties|tests|examples)/[\w*./-]*\w", text)
    return [path for path in found if not list(ROOT.glob(re.sub(r"\b[A-Z]+\b", "*", path)))]


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_files_that_exist(page: str) -> None:
    """Documentation and configuration name no file that was moved."""
    assert missing_paths((ROOT / page).read_text(encoding="utf-8")) == []


def test_missing_paths_are_seen() -> None:
    """A path that exists is found, one with placeholders too, and another is reported."""
    text = "`normcheck/core/errors.py`, `normcheck/families/NAME/entry.py`, tests/*.txt, normcheck/gone.py."

    assert missing_paths(text) == ["normcheck/gone.py"]


def test_every_package_is_in_the_wheel() -> None:
    """setuptools packs what pyproject.toml lists, and reports no folder that the list lacks."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "normcheck").rglob("__init__.py")}

    assert set(listed) == {*folders, "normcheck.properties"}


def lines(name: str) -> int:
    return len(FILES[name].read_text(encoding="utf-8").splitlines())


def test_files_are_small() -> None:
    """A file has at most 320 lines, unless it is exempt for a reason."""
    found = {name: lines(name) for name in FILES if lines(name) > LARGEST and not matches(name, *LARGER)}

    assert found == {}, f"a file has at most {LARGEST} lines: split it by subject"


def test_no_exemption_is_stale() -> None:
    """What is exempt from the largest size needs it."""
    for pattern in LARGER:
        assert max(lines(name) for name in FILES if matches(name, pattern)) > LARGEST, pattern


def test_no_module_is_named_after_nothing() -> None:
    """A module is named after its subject."""
    assert [name for name in FILES if NAMES_OF_NOTHING & {part.strip("_") for part in name.split(".")}] == []


def test_no_type_checking_blocks() -> None:
    """Every import runs: none stands behind TYPE_CHECKING."""
    found = [name for name, tree in TREES.items() if "TYPE_CHECKING" in ast.dump(tree)]

    assert found == []


def test_every_module_has_a_docstring() -> None:
    """Every module that has code begins with a sentence that says what it is."""
    assert [name for name, tree in TREES.items() if tree.body and ast.get_docstring(tree) is None] == []


def test_module_names_are_read() -> None:
    """Modules, packages and names in modules are told apart."""
    code = "import torch\nfrom normcheck import families\nfrom normcheck.core import errors\nfrom normcheck.core.errors import UsageError\nimport normcheck"  # noqa: E501

    found = [module for module, _ in own_imports(ast.parse(code))]
    assert found == ["families", "core.errors", "core.errors", "normcheck"]
    assert own_name("normcheck_other") == ""


def test_every_check_has_a_property_test() -> None:
    """`pytest --norm` asks every check of every family, each from one file."""
    asked = [
        check.name
        for name in FILES
        if name.startswith("properties.test_")
        for check in getattr(importlib.import_module(f"normcheck.{name}"), "CHECKS", ())
    ]

    assert sorted(asked) == sorted(CHECKS_BY_NAME)
