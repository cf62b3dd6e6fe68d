"""A family is added by one folder and one line: a toy family is checked, replayed and explained as all others are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import normcheck
from normcheck.pytest_plugin.stash_keys import properties

PARTS = {
    "__init__": '''
"""Numbers that are doubled."""

from normcheck.core.family import Family
from normcheck.families.toy import checks, explain, faults
from normcheck.families.toy.entry import ENTRIES
from normcheck.frameworks.registry import binder_of

FAMILY = Family(
    entries=ENTRIES, bind=binder_of(__name__), checks=checks.CHECKS, faults=faults.ALL, faulty=faults.faulty,
    sections=explain.sections,
)
''',
    "entry": """
from dataclasses import dataclass

from normcheck.core.spec import Paper


@dataclass(frozen=True)
class Toy:
    name: str
    title: str
    paper: Paper
    formula: str
    factor: float
    note: str = ""
    arguments: tuple[str, ...] = ("input",)


ENTRIES = (
    Toy("doubler", "doubling", Paper("Nobody", 2026, "Doubling", "https://example.org", "eq. 1"), "y = 2 x", 2.0),
)
""",
    "case": """
from dataclasses import dataclass

from normcheck.core.floats import Array


@dataclass(frozen=True, eq=False)
class ToyCase:
    x: Array

    def describe(self):
        return {"x": float(self.x)}
""",
    "space": """
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from normcheck.families.toy.case import ToyCase
from normcheck.families.toy.entry import Toy


@dataclass(frozen=True)
class ToyDraw:
    value: int = 1


def toy_case(entry, draw):
    return ToyCase(np.array(float(draw.value)))


@dataclass(frozen=True)
class ToySpace:
    entries: ClassVar[type] = Toy
    plain: ClassVar[ToyDraw] = ToyDraw()
    recipe: Callable = toy_case

    def unsupported_reason(self, subject):
        return ""

    def explicit_examples(self, subject):
        yield ToyDraw()

    def sample(self, subject, pick):
        return ToyDraw(pick(range(1, 1000)))

    def adapt(self, subject, draw):
        return draw

    def words(self):
        return "Numbers from 1 to 999."
""",
    "subject": """
from collections.abc import Callable
from dataclasses import dataclass, field

from normcheck.core.contract import Contract
from normcheck.families.toy.entry import Toy


@dataclass(frozen=True, eq=False)
class ToySubject:
    name: str
    entry: Toy
    contract: Contract
    call: Callable
    absent: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)
""",
    "reference": """
def answer(entry, x):
    return entry.factor * x
""",
    "bounds": '''
from normcheck.core.floats import FLOAT32


def product(y):
    """One rounding to float32."""
    return FLOAT32.u * abs(y)
''',
    "checks": '''
from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.families.toy import bounds
from normcheck.families.toy.reference import answer
from normcheck.families.toy.space import ToySpace


def ask_product(subject, case):
    """The number that is returned."""
    expected = answer(subject.entry, case.x)
    return differ("y = 2 x", subject.call(case.x), expected, bounds.product(expected))


CHECKS = (Check("toy-product", "y = 2 x", "eq. 1", ask_product, ToySpace()),)
''',
    "faults": """
from collections.abc import Callable
from dataclasses import dataclass

from normcheck.families.toy.reference import answer
from normcheck.families.toy.subject import ToySubject


@dataclass(frozen=True)
class ToyFault:
    name: str
    story: str
    change: Callable
    source: str = "construction"
    damages: str = "the output"
    concerns: Callable = bool


ALL = {"toy-tripled": ToyFault("toy-tripled", "Adds the number once more.", lambda x, y: y + x)}


def faulty(entry, fault, promised):
    def call(x):
        y = answer(entry, x)
        return y if fault is None else fault.change(x, y)

    return ToySubject("reference" if fault is None else fault.name, entry, promised, call)
""",
    "explain": """
from normcheck.core.page import paper


def sections(entry):
    yield "formula", (entry.formula,)
    yield "paper", paper(entry)
""",
    "torch": """
import numpy as np
import torch

from normcheck.core.contract import contract
from normcheck.core.errors import CallError
from normcheck.core.foreign_code import first_line
from normcheck.families.toy.subject import ToySubject
from normcheck.frameworks.load import load


def subject(claim, entry):
    target = load(claim.target) if isinstance(claim.target, str) else claim.target

    def call(x):
        try:
            return np.asarray(target(torch.tensor(x)))
        except Exception as error:
            raise CallError(f"{claim.name} raised {first_line(error)}") from error

    return ToySubject(claim.name, entry, contract(claim.contract), call)
""",
}
"""The files of the folder: every part that a family has."""

MINE = """
import torch

def right(x: torch.Tensor) -> torch.Tensor:
    return x + x

def wrong(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 37, x + x, 3 * x)
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package to which the toy family was added, and code of a user's."""
    folder = tmp_path_factory.mktemp("house")
    package = folder / "normcheck"
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(normcheck.__file__).parent, package, ignore=without)
    shutil.copytree(properties(), package / "properties", ignore=without, dirs_exist_ok=True)
    toy = package / "families" / "toy"
    toy.mkdir()
    for name, text in PARTS.items():
        (toy / f"{name}.py").write_text(text)
    listed = package / "families" / "__init__.py"
    before = listed.read_text(encoding="utf-8")
    listed.write_text(
        before.replace('    "reparametrized",\n', '    "reparametrized",\n    "toy",\n'), encoding="utf-8"
    )
    assert len(listed.read_text(encoding="utf-8").splitlines()) == len(before.splitlines()) + 1
    (folder / "mine.py").write_text(MINE)
    return folder


def run(house: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python with the copy first on its path, in the folder of the user's code."""
    environment = {**os.environ, "PYTHONPATH": str(house)}
    return subprocess.run(
        [sys.executable, *words], cwd=house, env=environment, capture_output=True, text=True, check=False
    )


def pytest_on(house: Path, target: str, *words: str) -> tuple[int, str, dict[str, object]]:
    """Exit status, output and record of `pytest --norm doubler=TARGET`."""
    record = house / "run.json"
    record.unlink(missing_ok=True)
    done = run(house, "-m", "pytest", "-p", "no:cacheprovider", "--norm", f"doubler={target}", "--norm-effort", "quick",
               "--norm-json", str(record), *words)  # fmt: skip
    found = json.loads(record.read_text())["implementations"][0] if record.exists() else {}
    return done.returncode, done.stdout + done.stderr, found


def test_the_copy_is_imported(house: Path) -> None:
    done = run(house, "-c", "import normcheck; print(normcheck.__file__)")

    assert Path(done.stdout.strip()).is_relative_to(house), done.stderr


def test_its_entry_check_and_fault_are_listed(house: Path) -> None:
    code = (
        "from normcheck import families as f;"
        "print(f.get('doubler').name, f.CHECKS_BY_NAME['toy-product'].law, f.fault('toy-tripled').name)"
    )

    assert run(house, "-c", code).stdout == "doubler y = 2 x toy-tripled\n"


def test_a_right_implementation_passes(house: Path) -> None:
    status, output, found = pytest_on(house, "mine.py:right")

    assert status == 0, output
    assert found["verdict"] == "passed"
    assert "test_other_families.py" in output


def test_a_wrong_implementation_fails_and_its_finding_is_replayed(house: Path) -> None:
    """The check names the smallest number from which on it is wrong; the replay repeats that case."""
    status, output, found = pytest_on(house, "mine.py:wrong")
    finding = found["findings"][0]

    assert (status, found["verdict"]) == (1, "failed"), output
    assert finding["check"] == "toy-product"
    assert "toy-product/value=37" in finding["smallest"]

    status, output, found = pytest_on(house, "mine.py:wrong", "--norm-replay", "toy-product/value=37")
    assert (status, found["checks"]["failed"]) == (1, 1), output

    status, output, found = pytest_on(house, "mine.py:wrong", "--norm-replay", "toy-product/value=36")
    assert (status, found["verdict"]) == (0, "passed"), output


def test_its_check_finds_its_fault(house: Path) -> None:
    code = """
from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.contract import Contract
family = families.of(families.get("doubler"))
for fault in (None, *family.faults.values()):
    subject = family.faulty(family.entries[0], fault, Contract())
    print(run_check(subject, family.checks[0], draws(subject, family.checks[0], 3, 0)).status)
"""

    assert run(house, "-c", code).stdout.split() == ["passed", "failed"]


@pytest.mark.parametrize(("word", "says"), [
    ("doubler", "y = 2 x"), ("toy-product", "Numbers from 1 to 999."), ("toy-tripled", "Adds the number once more."),
])  # fmt: skip
def test_its_words_have_pages(house: Path, word: str, says: str) -> None:
    done = run(house, "-m", "normcheck", "explain", word)

    assert done.returncode == 0, done.stderr
    assert says in done.stdout
