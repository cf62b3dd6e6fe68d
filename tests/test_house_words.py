"""What the code of a room may say: names of entries, tolerances, formats, and names of classes."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from source_tree import FILES, TREES, matches, place

from normcheck.core.floats import FORMATS
from normcheck.families import ENTRIES

Walker = Callable[[ast.AST], Iterator[tuple[str, int]]]
"""Finds what a rule forbids in a module: what, and in which line."""

NAME_ENTRIES = {
    "frameworks.torch_functions": "torch's own function of an entry has that name",
}
"""Modules in which the name of an entry may decide something, each with the reason."""

DEFINE_ENTRIES = ("normalizers.normalizer", "families.*.entry")
"""Modules that define the types of entries: there a word becomes a property, which all others read."""

STRUCTURE = {
    "layout": "how an input is seen, documented at `normalizers.normalizer.Sets`: a kind of shape, no normalizer",
    "acts_on": "whether the input is an activation or a weight",
}
"""Text attributes of entries that may be compared with a literal anywhere, each with the reason."""

CHECKS = ("normalizers.checks", "families.*.checks", "properties")
BOUNDED = ("normalizers", "families")
"""Rooms that compare numbers: what rounding may change is computed in their modules named bounds."""

READ_ROUNDOFF = {
    "*.bounds": "computes what rounding may change",
    "normalizers.sampling": "inputs that differ by one rounding are cases, not bounds",
    "families.defined.tracing": "values carry the errors of their roundings, from which bounds are made",
}
"""Modules of those rooms that may read the unit roundoff, each with the reason."""

SPELL_FORMATS = {
    "core.floats": "defines them",
}
"""Modules that may write the name of a format, each with the reason."""


def found(walker: Walker, *rooms: str, but: tuple[str, ...] = ()) -> list[str]:
    """What a walker finds in modules that match the rooms and none of the exceptions, with file and line."""
    return [
        f"{place(name, line)}: {said}"
        for name, tree in TREES.items()
        if matches(name, *rooms) and not matches(name, *but)
        for said, line in sorted(set(walker(tree)), key=lambda one: one[1])
    ]


def none(sentences: list[str]) -> None:
    """Assert that nothing was found, and print all that was."""
    assert not sentences, "\n".join(sentences)


def idle(walker: Walker, allowed: dict[str, str]) -> list[str]:
    """Exceptions of a rule that no module needs."""
    return [pattern for pattern in allowed if not found(walker, pattern)]


# names of entries


def _identifiers(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Names, attributes, parameters and keywords, with their lines."""
    for n in ast.walk(node):
        if isinstance(n, ast.Name):
            yield n.id, n.lineno
        elif isinstance(n, ast.Attribute):
            yield n.attr, n.lineno
        elif isinstance(n, (ast.keyword, ast.arg)) and n.arg is not None:
            yield n.arg, n.lineno


def _decisions(tree: ast.AST) -> Iterator[ast.AST]:
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


def named_entries(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of entries, written as text or as identifiers, that something is decided by."""
    for decision in _decisions(tree):
        yield from ((name, line) for name, line in _identifiers(decision) if name in ENTRIES)
        yield from ((n.value, n.lineno) for n in ast.walk(decision) if isinstance(n, ast.Constant)
                    and isinstance(n.value, str) and n.value in ENTRIES)  # fmt: skip


def _text_fields(tree: ast.AST) -> Iterator[str]:
    """Fields of the classes of a module that hold one text."""
    for node in (n for cls in ast.walk(tree) if isinstance(cls, ast.ClassDef) for n in cls.body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            kind = ast.unparse(node.annotation)
            if kind.startswith(("str", "Literal")):
                yield node.target.id


TEXTS = {
    field for name, tree in TREES.items() if matches(name, *DEFINE_ENTRIES) for field in _text_fields(tree)
} - {"name", *STRUCTURE}  # fmt: skip
"""Text attributes by which entries differ. `name` is an attribute of much else; `named_entries` finds its values."""

VALUES = {
    value for entry in ENTRIES.values() for field in TEXTS if isinstance(value := getattr(entry, field, None), str)
}


def _is_text_of_entry(node: ast.AST, aliases: set[str]) -> bool:
    """Whether an expression is a text attribute of an entry, or a variable that holds one."""
    return (isinstance(node, ast.Attribute) and node.attr in TEXTS) or (
        isinstance(node, ast.Name) and node.id in aliases
    )


def _aliases(tree: ast.AST) -> set[str]:
    """Variables that hold a text attribute of an entry."""
    out = set()
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, (ast.NamedExpr, ast.AnnAssign)) and node.value is not None:
            targets = [node.target]
        for target in targets:
            several = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
            pairs = zip(target.elts, node.value.elts, strict=False) if several else [(target, node.value)]
            out |= {one.id for one, value in pairs if isinstance(one, ast.Name) and _is_text_of_entry(value, set())}
    return out


def _literals(node: ast.AST) -> set[str]:
    """Texts in an expression: literals, and constants by their capital names."""
    texts = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value}
    return texts | {name for name, _ in _identifiers(node) if name.isupper()}


def compared_texts(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Text attributes of entries, also through variables and parameters, that are compared with a literal."""
    aliases = _aliases(tree)
    for node in ast.walk(tree):
        sides: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            sides = [node.subject, *(case.pattern for case in node.cases)]
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            sides = [node.slice, *(key for key in node.value.keys if key is not None)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            sides = [node.func.value, *node.args] if node.func.attr in ("startswith", "endswith", "__eq__") else []
        for side in sides:
            texts = {text for other in sides if other is not side for text in _literals(other)}
            parameter = isinstance(side, ast.Name) and side.id in TEXTS and texts & VALUES
            if texts and (parameter or _is_text_of_entry(side, aliases)):
                yield f"compares {ast.unparse(side)} with {', '.join(map(repr, sorted(texts)))}", side.lineno


def test_no_name_of_an_entry_decides() -> None:
    """No condition names an entry: what a normalizer is decides, not its name."""
    none(found(named_entries, "*", but=tuple(NAME_ENTRIES)))
    assert idle(named_entries, NAME_ENTRIES) == []


def test_no_text_of_an_entry_decides() -> None:
    """No condition compares a text attribute of an entry with a literal: the entry has a property for it."""
    none(found(compared_texts, "*", but=DEFINE_ENTRIES))


def test_exceptions_are_attributes() -> None:
    """What is exempt as structure is a text attribute of an entry."""
    fields = {field for name, tree in TREES.items() if matches(name, *DEFINE_ENTRIES) for field in _text_fields(tree)}

    assert set(STRUCTURE) <= fields


@pytest.mark.parametrize("code", [
    "if kind == 'layer_norm': pass", "y = 1 if n.name in ('rms_norm',) else 2", "[k for k in a if k != 'batch_norm']",
    "x = {'layer_norm': 1}[kind]", "if n is catalog.weight_norm: pass", "match k:\n    case 'group_norm': pass",
    "if entry.name == 'path_sgd': pass", "while kind != 'zca_whitening': pass",
])  # fmt: skip
def test_names_are_seen(code: str) -> None:
    """Every form in which the name of an entry can decide is seen."""
    assert len(set(named_entries(ast.parse(code)))) == 1


@pytest.mark.parametrize("code", [
    "if subject.entry.{0} == 'x': pass", "y = 1 if 'x' != entry.{0} else 2", "[e for e in a if e.{0} in ('x', 'y')]",
    "match entry.{0}:\n    case 'x': pass", "z = {{'x': 1}}[entry.{0}]", "b = entry.{0} == X", "e.{0}.startswith('x')",
    "kind = entry.{0}\nif kind == 'x': pass", "a, kind = 1, entry.{0}\nif kind == 'x': pass",
    "if (kind := entry.{0}) and kind == 'x': pass",
])  # fmt: skip
def test_texts_are_seen(code: str) -> None:
    """Every form in which a text attribute of an entry can decide is seen."""
    assert len(set(compared_texts(ast.parse(code.format("formula"))))) == 1


@pytest.mark.parametrize("code", [
    "if entry.eps == 1e-5: pass", "if sets.layout == 'rows': pass", "if one.formula == other.formula: pass",
    "if normalizer.acts_on == 'weight': pass", "if entry.formula == '': pass", "root = ROOTS[entry.formula]",
])  # fmt: skip
def test_other_comparisons_pass(code: str) -> None:
    """Numbers, structure, two entries, the empty text, and the look-up of a function by its name are no decisions."""
    assert list(compared_texts(ast.parse(code))) == []


# tolerances


def tolerances(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of tolerances, functions that compute one, and small numbers that are not an eps."""
    for name, line in _identifiers(tree):
        if {"rtol", "atol", "tol", "tolerance", "allclose", "isclose", "approx"} & set(name.lower().split("_")):
            yield f"uses {name}", line
    eps = {id(n) for node in ast.walk(tree) if _is_eps(node) for n in ast.walk(node)}
    for node in ast.walk(tree):
        number = isinstance(node, ast.Constant) and isinstance(node.value, float) and id(node) not in eps
        if number and 0.0 < node.value < 1e-2:
            yield f"has the number {node.value:g}", node.lineno


def _is_eps(node: ast.AST) -> bool:
    """Whether a statement or an argument says which eps a case has."""
    if isinstance(node, ast.Assign):
        return all(isinstance(one, ast.Name) and "eps" in one.id.lower().split("_") for one in node.targets)
    return isinstance(node, ast.keyword) and node.arg == "eps"


def roundoffs(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Unit roundoffs, half ulps and smallest numbers of a format, where they become part of a bound."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("u", "half_ulp"):
            yield f"reads {ast.unparse(node)}", node.lineno
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
            yield from ((f"reads {ast.unparse(side)}", side.lineno) for side in (node.left, node.right)
                        if isinstance(side, ast.Attribute) and side.attr == "floor")  # fmt: skip


def bound_functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Functions that compute a bound, by their names and by what they make."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and {"bound", "allowed", "rounding"} & set(node.name.split("_")):
            yield f"defines {node.name}", node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "ErrorBound":
            yield "makes an ErrorBound", node.lineno


def test_no_tolerances() -> None:
    """Neither a check nor a property has a tolerance: what is allowed comes from a bound."""
    none(found(tolerances, *CHECKS, but=("*.bounds",)))


def test_bounds_are_in_modules_named_bounds() -> None:
    """What rounding may change is computed in modules named bounds."""
    none(found(roundoffs, *BOUNDED, but=tuple(READ_ROUNDOFF)))
    none(found(bound_functions, *BOUNDED, but=("*.bounds",)))
    assert idle(roundoffs, READ_ROUNDOFF) == []


@pytest.mark.parametrize(
    "code", ["np.allclose(a, b)", "f(a, rtol=1.0)", "tol = 1.0", "x_tol = 2", "pytest.approx(3)", "b = a + 1e-12 * c"]
)
def test_tolerances_are_seen(code: str) -> None:
    """Every usual form of a tolerance is seen."""
    assert len(set(tolerances(ast.parse(code)))) == 1


@pytest.mark.parametrize("code", ["Space(small, eps=(1e-5, 1e-3))", "EPS_BELOW_HALF = 1e-8", "rate = 0.05", "n = 0.0"])
def test_an_eps_is_no_tolerance(code: str) -> None:
    """The eps of a case, and numbers that are not small, are no tolerances."""
    assert list(tolerances(ast.parse(code))) == []


@pytest.mark.parametrize("code", [
    "b = 8.0 * case.format.u", "u = FLOAT64.u", "b = size + 4.0 * case.format.floor", "b = format.half_ulp(y)",
])  # fmt: skip
def test_roundoffs_are_seen(code: str) -> None:
    """A multiple of the unit roundoff or of the smallest number is seen, and the variable that holds it."""
    assert len(set(roundoffs(ast.parse(code)))) == 1


@pytest.mark.parametrize("code", ["n = math.floor(x) + 1", "n = np.floor(x)", "d = np.maximum(x, FLOAT64.floor)"])
def test_other_floors_pass(code: str) -> None:
    """The function of that name, and a denominator that is kept off 0, are no bounds."""
    assert list(roundoffs(ast.parse(code))) == []


@pytest.mark.parametrize("code", [
    "def step_bound(x): ...", "def _dx_allowed(x): ...", "def rounding(x): ...", "b = bounds.ErrorBound({})",
])  # fmt: skip
def test_bound_functions_are_seen(code: str) -> None:
    """A function that computes a bound is seen by its name or its result."""
    assert len(set(bound_functions(ast.parse(code)))) == 1


# formats and classes


def spelled_formats(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of formats that are written as text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in FORMATS:
            yield f"writes {node.value!r}", node.lineno


def test_formats_are_spelled_in_one_module() -> None:
    """The name of a format is written once; all others import the format."""
    none(found(spelled_formats, "*", but=tuple(SPELL_FORMATS)))
    assert idle(spelled_formats, SPELL_FORMATS) == []


def test_spelled_formats_are_seen() -> None:
    """A format is seen as a value, a default and a key; a sentence that names one is no value."""
    code = 'def f(format="float32"):\n    """In float64 only."""\n    return {"bfloat16": 1, "int8": 2}'

    assert list(spelled_formats(ast.parse(code))) == [("writes 'float32'", 1), ("writes 'bfloat16'", 3)]


def repeated_classes(trees: dict[str, ast.Module]) -> dict[str, list[str]]:
    """Names of classes that are defined more than once, with the modules that define them."""
    places = defaultdict(list)
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    return {name: where for name, where in places.items() if len(where) > 1}


def test_a_class_name_means_one_class() -> None:
    """No two classes of the package have one name."""
    assert repeated_classes(TREES) == {}


def test_repeated_classes_are_seen() -> None:
    """The same name in two modules, or inside a function, is seen."""
    one, two = ast.parse("class Net: ..."), ast.parse("def f():\n    class Net: ...\nclass Other: ...")

    assert repeated_classes({"a": one, "b": two}) == {"Net": ["a", "b"]}
    assert repeated_classes({"b": two}) == {}


def test_the_walkers_read_the_package() -> None:
    """The package was found, and so were the text attributes of entries and their values."""
    assert len(FILES) > 100
    assert {"formula", "title"} <= TEXTS
    assert VALUES
