"""Who may know whom in the house, and the sizes and names that keep its rooms livable."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from normcheck.normalizers import catalog

ROOT = Path(__file__).parent.parent

CORE = ("floats", "errors", "layouts", "uses", "contract", "case", "cases", "spec", "result", "claim")
QUESTION = (*CORE, "transforms", "reference", "bounds", "derivatives", "recipes", "sizes", "programs")
ASKING = (*QUESTION, "catalog", "adapters.base", "adapters.load", "adapters.probe", "draws", "checks", "sweep")
EVERYTHING = (
    *ASKING, "adapters", "strategies", "search", "faults", "diagnose", "verdict", "bench", "run", "session", "report",
    "implementations", "accepted", "families",
)  # fmt: skip

ADAPTER = (
    "adapters.base",
    "adapters.binding",
    "adapters.load",
    "case",
    "contract",
    "errors",
    "floats",
    "layouts",
    "programs",
    "spec",
    "uses",
)

TORCH = ("tensors", "watch", "layer", "functional", "uses", "function", "module", "transform", "life")
"""Files of torch's adapter: each may import those before it."""

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "__init__": ("claim", "errors"),
    # values
    "floats": (),
    "errors": (),
    "layouts": (),
    "uses": (),
    "result": (),
    "contract": ("errors", "floats"),
    "spec": ("floats",),
    "case": ("floats", "uses"),
    "cases": (),
    "claim": ("errors",),
    # what is true
    "transforms": ("case", "floats", "spec"),
    "reference": ("reference", "case", "contract", "floats", "recurrence.entry", "recurrence.series", "spec"),
    "bounds": ("floats", "reference", "uses"),
    # recurrent nets
    "recurrence.__init__": (),
    "recurrence.entry": ("spec",),
    "recurrence.series": ("floats",),
    "recurrence.subject": ("contract", "floats", "recurrence.entry", "recurrence.series"),
    "recurrence.space": ("cases", "floats", "recurrence.entry", "recurrence.series", "recurrence.subject"),
    "recurrence.rounding": ("bounds", "contract", "floats", "recurrence.entry", "recurrence.series", "reference"),
    "recurrence.about": ("about", "recurrence.entry"),
    "recurrence.diagnosis": (*ASKING, "replay", "faults", "recurrence"),
    "derivatives": ("bounds", "floats", "reference"),
    "catalog": ("errors", "spec", "descent.entry", "recurrence.entry", "refresh.entry", "whitening.entry"),
    "recipes": ("case", "floats", "spec", "transforms"),
    "sizes": ("case", "floats", "recipes", "spec"),
    "programs": ("case", "floats"),
    # code that is not ours
    "adapters.__init__": (),
    "adapters.base": ("case", "contract", "floats", "layouts", "recipes", "spec", "uses"),
    "adapters.load": ("errors",),
    "adapters.binding": ("errors", "spec"),
    "adapters.spelled": ("adapters.binding", "case"),
    "adapters.probe": (
        "adapters.base",
        "adapters.spelled",
        "case",
        "contract",
        "errors",
        "layouts",
        "recipes",
        "reference",
        "sizes",
        "spec",
        "uses",
    ),
    "adapters.bind": (
        "adapters",
        "case",
        "catalog",
        "claim",
        "contract",
        "errors",
        "programs",
        "recipes",
        "spec",
        "uses",
    ),
    "adapters.binders": (
        "adapters",
        "catalog",
        "claim",
        "spec",
        "descent.entry",
        "recurrence.entry",
        "refresh.entry",
        "whitening.entry",
    ),
    "adapters.torch_recurrent_names": (*ADAPTER, "adapters.torch_tensors", "recurrence"),
    "adapters.torch_recurrent": (*ADAPTER, "adapters", "catalog", "claim", "recurrence"),
    "adapters.wire": ("floats",),
    "adapters.traces": (),
    "adapters.isolated": (
        "adapters.bind",
        "adapters.load",
        "adapters.traces",
        "adapters.wire",
        "claim",
        "errors",
        "uses",
    ),
    "adapters.worker": ("adapters.isolated", "adapters.wire", "errors"),
    "adapters.remote": (
        *CORE,
        "recipes",
        "adapters.base",
        "adapters.bind",
        "adapters.isolated",
        "adapters.probe",
        "adapters.worker",
    ),
    "adapters.torch_descent": (*ADAPTER, "catalog", "claim", "descent", "reference", "adapters.torch_tensors"),
    "adapters.torch_refresh": (*ADAPTER, "catalog", "claim", "refresh", "reference", "adapters.torch_tensors"),
    "adapters.torch_whitening": (*ADAPTER, "catalog", "claim", "whitening", "reference", "adapters.torch_tensors"),
    "adapters": ADAPTER,  # one file for each framework
    **{
        f"adapters.torch_{name}": (*ADAPTER, "recipes", *(f"adapters.torch_{below}" for below in TORCH[:level]))
        for level, name in enumerate(TORCH)
    },
    # optimizers of nets
    "descent": (*CORE, "descent", "reference"),
    "descent.about": ("about", "descent"),
    # layers that decorrelate
    "whitening": (*CORE, "whitening", "reference", "bounds"),
    "whitening.about": ("about", "whitening"),
    # layers in refreshed coordinates
    "refresh": (*CORE, "refresh", "reference", "bounds"),
    "refresh.about": ("about", "refresh"),
    # questions
    "draws": ("adapters.base", "adapters.probe", "case", "cases", "contract", "floats", "layouts", "recipes", "spec"),
    "checks": (*QUESTION, "checks", "adapters.base", "draws", "descent", "recurrence", "refresh", "whitening"),
    "replay": ("errors", "recipes"),
    "sweep": (*CORE, "replay", "adapters.base", "adapters.load", "checks.base"),
    "strategies": ("adapters.base", "cases"),
    "memory": ("adapters.base", "checks.base", "errors", "replay"),
    "search": (*CORE, "adapters.base", "adapters.load", "checks.base", "memory", "strategies", "sweep"),
    # answers
    "implementations": ("implementations",),
    "faults": (*QUESTION, "catalog", "faults", "adapters.base", "adapters.probe", "recurrence"),
    "evidence": ASKING,
    "battery": (*ASKING, "evidence"),
    "forms": (*QUESTION, "adapters.base", "faults", "forms"),
    "hypotheses": (*QUESTION, "faults", "forms"),
    "lives": ASKING,
    "trial": (*ASKING, "faults", "evidence", "battery", "hypotheses", "lives"),
    "lived": (*ASKING, "faults", "evidence", "hypotheses", "lives", "trial"),
    "diagnose": (*ASKING, "faults", "evidence", "hypotheses", "lived", "trial"),
    "families": (
        *ASKING,
        "about",
        "faults",
        "recurrence",
        "diagnose",
        "remedy",
        "reproduction",
        "descent",
        "whitening",
        "refresh",
    ),
    "verdict": (*CORE, "bounds", "catalog", "families"),
    "bench": (*CORE, "bench", "catalog", "recipes", "adapters", "checks.base"),
    "run": (*ASKING, "adapters", "strategies", "search", "faults", "diagnose", "verdict", "bench"),
    "expected": ("adapters.base", "result"),
    "reproduction": (*CORE, "adapters.base", "checks.base"),
    "remedy": (*CORE, "recipes", "adapters.base", "checks.base", "draws", "sweep"),
    "accepted": ("errors", "report.files", "result"),
    "session": (
        *ASKING,
        "memory",
        "accepted",
        "expected",
        "identify",
        "families",
        "replay",
        "adapters.binders",
        "adapters.remote",
        "search",
    ),
    "measure": ("adapters.base", "adapters.probe", "case", "errors", "floats", "recipes", "reference", "spec"),
    "conduct": (*QUESTION, "measure", "adapters.base"),
    "card": ("conduct", "measure", "result"),
    "alone": ("adapters.binding",),
    "identify": (*ASKING, "measure", "conduct", "card", "alone", "verdict", "adapters.bind"),
    "examples": (),
    "about": (*QUESTION, "adapters.binding"),
    "explain": (*ASKING, "about", "examples", "families"),
    "selfcheck": (*ASKING, "families"),
    "report": ("report", "errors", "result"),
    # the edge
    "properties": ("checks",),
    "outputs": ("report",),
    "isolation": ("adapters.remote", "errors"),
    "told": ("report",),
    "chance": ("report",),
    "stash": (),
    "pace": ("plugin_speed", "stash"),
    "plugin_speed": (
        "stash",
        "bench",
        "adapters.base",
        "adapters.torch_tensors",
        "checks",
        "errors",
        "report.pace",
        "result",
        "session",
    ),
    "plugin": ("__init__", *EVERYTHING, "chance", "isolation", "outputs", "pace", "stash", "told", "workers"),
    "workers": (),
    "cli": ("__init__", *EVERYTHING, "plugin", "explain", "identify", "selfcheck"),
    "__main__": ("cli",),
}
"""Module or package, to those that it may import: down the house, never up. The longest name that fits counts."""

WHY = {
    "checks": "a check knows neither catalog nor framework: it takes the normalizer from its subject",
    "session": "frameworks are reached through adapters.binders alone",
    "report": "a report sees plain records only, so that it can be rendered years later from JSON",
    "adapters": "an adapter knows its framework, and no check",
    "reference": "the reference is what is true, and knows nobody who asks",
    "bounds": "a bound follows from the reference's answer alone",
    "implementations": "an implementation is code as a user writes it, and knows nothing of its checker",
    "properties": "a property names a check; the plugin holds the line together",
}
"""The reason that a failure gives, where there is a better one than the order of the house."""

EDGE = ("plugin", "chance", "isolation", "outputs", "pace", "plugin_speed", "stash", "told", "workers", "cli")

THIRD_PARTY: dict[str, Callable[[str], bool]] = {
    "torch": lambda name: (
        name.startswith(("adapters.torch_", "implementations.", "bench.")) or name in ("adapters.bind", "plugin_speed")
    ),
    "hypothesis": lambda name: name in ("strategies", "search") or name.startswith("properties."),
    "_pytest": lambda name: False,
    "pytest": lambda name: name in EDGE or name.startswith("properties."),
    "jax": lambda name: name.startswith("adapters.jax_"),
}
"""A library that only some rooms may know."""

LARGEST = 320
LARGER = {"faults": "known faults are data: one short entry each, read by looking one up"}
"""Parts that may have files beyond the largest size, each with the reason."""

NAMES_OF_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}

NAMES_A_KIND = ("catalog", "faults", "implementations", "cli", "bench")
"""Parts that may decide by a normalizer's name; elsewhere its choice of sets and its flags decide."""


def files() -> dict[str, Path]:
    """Every module of the package, by its name below normcheck."""
    out = {".".join(path.relative_to(ROOT / "normcheck").with_suffix("").parts): path
           for path in sorted((ROOT / "normcheck").rglob("*.py"))}  # fmt: skip
    out |= {f"properties.{path.stem}": path for path in sorted((ROOT / "properties").glob("*.py"))}
    return out


FILES = files()
PACKAGES = {name.rpartition(".")[0] for name in FILES if "." in name}


def inside(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, anywhere in it, as written in full, with the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; write the module in full"
            module = node.module or ""
            own = module.removeprefix("normcheck").removeprefix(".")
            for alias in node.names:
                is_module = module == "normcheck" or own in PACKAGES
                below = f"{own}.{alias.name}".removeprefix(".")
                known = below in FILES or below in PACKAGES
                yield (f"{module}.{alias.name}" if is_module and known else module), node.lineno


def own_imports(path: Path) -> Iterator[tuple[str, int]]:
    for module, line in imported(path):
        if inside(module, "normcheck"):
            yield module.removeprefix("normcheck").removeprefix(".") or "__init__", line


def place(name: str) -> str:
    """The entry of the table that speaks for a module: the longest one that fits."""
    fits = [part for part in MAY_IMPORT if inside(name, part)]
    assert fits, f"normcheck/{name} has no place in the house: name in MAY_IMPORT what it may import"
    return max(fits, key=len)


def broken(name: str, path: Path) -> list[str]:
    """A sentence for every import that the table does not allow."""
    allowed = MAY_IMPORT[place(name)]
    out = []
    for module, line in own_imports(path):
        if not any(inside(module, part) for part in allowed):
            why = WHY.get(place(name).partition(".")[0], f"{place(name)} may import {', '.join(allowed) or 'nothing'}")
            out.append(f"{path.relative_to(ROOT)}:{line} imports normcheck.{module}; {why}")
    return out


@pytest.mark.parametrize("name", FILES)
def test_imports_go_down_the_house(name: str) -> None:
    """A module imports only from rooms that its own may know."""
    assert broken(name, FILES[name]) == []


def test_nobody_imports_in_a_circle() -> None:
    """No chain of imports leads back to where it started."""
    graph = {name: {m for m, _ in own_imports(path) if m in FILES} for name, path in FILES.items()}
    left = dict(graph)
    while free := [name for name, needs in left.items() if not needs & set(left)]:
        for name in free:
            del left[name]

    assert left == {}


def test_the_table_has_no_circle_of_values() -> None:
    """What the values may import are values: the table itself leads down."""
    for part in CORE:
        assert set(MAY_IMPORT[part]) <= set(CORE), part


@pytest.mark.parametrize("library", THIRD_PARTY)
def test_frameworks_stay_in_their_rooms(library: str) -> None:
    """torch is known to its adapters, hypothesis to the search, pytest to the edge."""
    said = [
        f"{path.relative_to(ROOT)}:{line} imports {module}; {library} may not be known there"
        for name, path in FILES.items()
        for module, line in imported(path)
        if inside(module, library) and not THIRD_PARTY[library](name)
    ]

    assert said == []


def test_the_walker_sees_imports(tmp_path: Path) -> None:
    """An import at the top, in a function, of a module or of a name is seen, and told in a sentence."""
    bad = ROOT / "normcheck" / "checks" / "nowhere.py"
    code = tmp_path / "nowhere.py"
    code.write_text(
        "import torch\n\ndef f():\n    from normcheck import bounds, catalog\n    import normcheck.report.html\n"
    )

    assert list(imported(code)) == [
        ("torch", 1), ("normcheck.bounds", 4), ("normcheck.catalog", 4), ("normcheck.report.html", 5),
    ]  # fmt: skip
    allowed = MAY_IMPORT[place(f"checks.{bad.stem}")]
    assert [m for m, _ in own_imports(code) if not any(inside(m, part) for part in allowed)] == [
        "catalog",
        "report.html",
    ]


def test_every_package_is_in_the_wheel() -> None:
    """setuptools packs what pyproject.toml lists, and nothing says so where a folder is forgotten."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "normcheck").rglob("__init__.py")}

    assert set(listed) == {*folders, "normcheck.properties"}


def test_files_are_small() -> None:
    """A file has at most 320 lines, unless its part is exempt for a reason."""
    said = []
    for name, path in FILES.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LARGEST and not any(inside(name, part) for part in LARGER):
            said.append(
                f"{path.relative_to(ROOT)} has {lines} lines; a file has at most {LARGEST}: split it by what it knows"
            )

    assert said == []


def test_no_exemption_is_stale() -> None:
    """A part that is exempt from the largest size needs it."""
    for part in LARGER:
        sizes = [
            len(path.read_text(encoding="utf-8").splitlines()) for name, path in FILES.items() if inside(name, part)
        ]

        assert max(sizes) > LARGEST, part


def test_no_module_is_named_after_nothing() -> None:
    """A module is named after what it knows, not utils."""
    said = [f"{name}: a module is named after what it knows" for name in FILES
            if NAMES_OF_NOTHING & {word for part in name.split(".") for word in (part, part.strip("_"))}]  # fmt: skip

    assert said == []


def identifiers(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Names, attributes, arguments and keywords, with their lines."""
    for n in ast.walk(node):
        if isinstance(n, ast.Name):
            yield n.id, n.lineno
        elif isinstance(n, ast.Attribute):
            yield n.attr, n.lineno
        elif isinstance(n, (ast.keyword, ast.arg)) and n.arg is not None:
            yield n.arg, n.lineno


def test_no_type_checking_blocks() -> None:
    """Imports show who knows whom: none hides behind TYPE_CHECKING."""
    said = []
    for path in FILES.values():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        taken = [alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for alias in n.names]
        if "TYPE_CHECKING" in taken or any(name == "TYPE_CHECKING" for name, _ in identifiers(tree)):
            said.append(f"{path.relative_to(ROOT)} uses TYPE_CHECKING; import what it needs, or move it")

    assert said == []


def decisions(tree: ast.AST) -> Iterator[ast.AST]:
    """What a program decides by: conditions, comparisons, patterns, and keys of a table."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.IfExp, ast.While)):
            yield node.test
        elif isinstance(node, ast.Compare):
            yield node
        elif isinstance(node, ast.comprehension):
            yield from node.ifs
        elif isinstance(node, ast.match_case):
            yield node.pattern
        elif isinstance(node, ast.Dict):
            yield from (key for key in node.keys if key is not None)


def kinds_in(tree: ast.AST) -> set[tuple[str, int]]:
    """Names of catalog entries that something is decided by."""
    out = set()
    for decision in decisions(tree):
        out |= {(name, line) for name, line in identifiers(decision) if name in catalog.ALL}
        out |= {
            (n.value, n.lineno) for n in ast.walk(decision) if isinstance(n, ast.Constant) and n.value in catalog.ALL
        }
    return out


def test_nothing_is_decided_by_the_name_of_a_kind() -> None:
    """No condition names an entry of the catalog: what a normalizer is decides, not what it is called."""
    said = [
        f"{path.relative_to(ROOT)}:{line} decides by {kind!r}; ask what the normalizer is: its sets, its flags"
        for name, path in FILES.items()
        if not any(inside(name, part) for part in NAMES_A_KIND)
        for kind, line in sorted(kinds_in(ast.parse(path.read_text(encoding="utf-8"))))
    ]

    assert said == []


@pytest.mark.parametrize("code", [
    "if kind == 'layer_norm': pass", "y = 1 if n.name in ('rms_norm',) else 2", "[k for k in a if k != 'batch_norm']",
    "x = {'layer_norm': 1}[kind]", "if n is catalog.weight_norm: pass", "match k:\n    case 'group_norm': pass",
])  # fmt: skip
def test_the_walker_sees_decisions(code: str) -> None:
    """Every form in which a kind's name can decide is seen."""
    assert len(kinds_in(ast.parse(code))) == 1


def tolerances(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of tolerances, and calls that bring their own."""
    for name, line in identifiers(tree):
        words = name.lower().split("_")
        if {"rtol", "atol", "tol", "tolerance", "allclose", "isclose", "approx"} & set(words):
            yield name, line


def test_no_tolerances() -> None:
    """Neither a check nor a property has a tolerance: what is allowed comes from a bound."""
    said = [
        f"{path.relative_to(ROOT)}:{line} uses {name}; what is allowed comes from bounds.py"
        for part, path in FILES.items()
        if inside(part, "checks") or inside(part, "properties")
        for name, line in tolerances(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert said == []


@pytest.mark.parametrize(
    "code", ["np.allclose(a, b)", "f(a, rtol=1e-3)", "tol = 1e-5", "x_tol = 2", "pytest.approx(3)"]
)
def test_the_walker_sees_tolerances(code: str) -> None:
    """Every usual form of a tolerance is seen."""
    assert list(tolerances(ast.parse(code)))


def test_every_module_says_why_it_is_there() -> None:
    """Every module that has code begins with a sentence."""
    said = [
        f"{path.relative_to(ROOT)} has no module docstring"
        for path in FILES.values()
        if (tree := ast.parse(path.read_text(encoding="utf-8"))).body and ast.get_docstring(tree) is None
    ]

    assert said == []
