"""What is to be judged: a line of a file, or a Python file of a folder."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from normcheck import families
from normcheck.core.errors import UsageError, shortened, suggest
from normcheck.core.safe_text import safe
from normcheck.core.target import split, target_of
from normcheck.engine.claims import conventions_of
from normcheck.engine.search import EFFORTS

KEYS = ("id", "kind", "target", "source", "contract", "effort")
"""What a line may have."""

GENERATED = "ModelNew"
"""The class that a file of KernelBench defines."""


@dataclass(frozen=True, slots=True)
class Task:
    """One implementation to judge, or a line from which none follows.

    kind: empty if it is to be found out. target: as `--norm` takes it; empty where the code is given as `source`, or
    is a file whose attribute is found out.
    """

    id: str | int
    kind: str = ""
    target: str = ""
    source: str = ""
    contract: Mapping[str, str] = field(default_factory=dict)
    effort: str = "default"
    problem: str = ""  # why it cannot be judged, in one sentence

    @property
    def digest(self) -> str:
        """A short text that changes with everything that its answer depends on, the code of its file included."""
        place = Path(split(self.target)[0]).expanduser() if self.target else Path()
        code = place.read_bytes() if place.suffix == ".py" and place.is_file() else b""
        words = [self.kind, self.target, self.source, dict(sorted(self.contract.items())), self.effort, self.problem]
        return hashlib.sha256(json.dumps(words).encode() + code).hexdigest()[:16]


def tasks(path: Path, *, kind: str, contract: Mapping[str, str], effort: str) -> list[Task]:
    """The tasks of a file of JSON lines, of a Python file, or of the Python files of a folder, in their order.

    kind, contract, effort: where a line has none. Raises `UsageError` for a path that cannot be read or has nothing.
    """
    defaults = Task("", kind=kind, contract=contract, effort=effort)
    if path.is_dir():
        found = [_of_file(one, one.relative_to(path), defaults) for one in sorted(path.rglob("*.py"))]
    elif path.suffix == ".py":
        found = [_of_file(path, Path(path.name), defaults)]
    else:
        found = list(_of_lines(path, defaults))
    if not found:
        raise UsageError(f"{path} has nothing to check: it is a file of JSON lines, or a folder of Python files")
    return found


def _of_lines(path: Path, defaults: Task) -> Iterator[Task]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"cannot read {path}: {why}") from None
    seen: set[str | int] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            made = _of_line(line, number, defaults, seen)
        except UsageError as error:
            made = Task(f"line {number}", problem=f"line {number}: {error}")
        seen.add(made.id)
        yield made


def _of_line(line: str, number: int, defaults: Task, seen: Collection[str | int]) -> Task:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError("it is no JSON") from None
    if not isinstance(given, dict):
        raise UsageError('it is no JSON object, as in {"kind": "layer_norm", "target": "mine.py:f"}')
    for key in given:
        if key not in KEYS:
            raise UsageError(f"unknown key {shortened(key)!r}; {suggest(key, KEYS)}")
    name = given.get("id", f"line {number}")
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise UsageError("its id is neither text nor a whole number")
    if name in seen:
        raise UsageError(f"the id {name!r} is that of an earlier line")
    texts = {key: given.get(key, getattr(defaults, key)) for key in ("kind", "target", "source", "effort")}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise UsageError(f"its {key} is no text")
    contract = given.get("contract", defaults.contract)
    if not isinstance(contract, dict):
        raise UsageError('its contract is no object, as in {"eps-place": "outside"}')
    return _valid(Task(name, contract=conventions_of(contract), **texts))


def _valid(made: Task) -> Task:
    """The task. Raises `UsageError` for a kind, effort or target that is none."""
    if made.kind:
        families.get(made.kind)
    if made.effort not in EFFORTS:
        raise UsageError(f"unknown effort {shortened(made.effort)!r}; {suggest(made.effort, EFFORTS)}")
    if bool(made.target) == bool(made.source):
        raise UsageError("it has either a target, as in mine.py:f, or a source, the code itself")
    if made.target:
        target_of(made.target)
        return made
    name_in(made.source)
    return made


def _of_file(path: Path, name: Path, defaults: Task) -> Task:
    """The task of a Python file, whose id is its path below the folder."""
    made = Task(safe(str(name)), defaults.kind, "", "", defaults.contract, defaults.effort)
    try:
        attribute = name_in(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, UsageError) as error:
        why = str(error) if isinstance(error, UsageError) else "it cannot be read"
        return Task(made.id, problem=f"{made.id}: {why}")
    return Task(made.id, made.kind, f"{path}:{attribute}", "", made.contract, made.effort)


def name_in(code: str) -> str:
    """The name of the implementation in Python code: `ModelNew`, or the only public function or class.

    Raises `UsageError` for code that cannot be parsed, and where more than one name is possible, or none.
    """
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise UsageError(f"its code cannot be parsed: {shortened(str(error))}") from None
    defined = [one.name for one in body if isinstance(one, (ast.FunctionDef, ast.ClassDef))]
    names = [one for one in dict.fromkeys(defined) if not one.startswith("_")]
    if GENERATED in names:
        return GENERATED
    if len(names) != 1:
        what = f"several functions and classes ({', '.join(names[:4])})" if names else "no public function or class"
        raise UsageError(f"it defines {what}: name one, as in mine.py:f, or define {GENERATED}")
    return names[0]
