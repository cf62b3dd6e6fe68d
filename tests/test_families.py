"""The question path is the same for every family: a small one of its own is asked, shrunk, replayed and explained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.contract import Contract
from normcheck.core.family import Family
from normcheck.core.floats import Array
from normcheck.core.replay import decode, encode
from normcheck.core.result import FAILED, PASSED
from normcheck.core.space import CaseSpace, Pick
from normcheck.core.spec import COLUMN_NAMES, EXTENDED_NAMES, Paper
from normcheck.core.subject import BoundSubject
from normcheck.engine import verdict
from normcheck.engine.search import Effort, search
from normcheck.frameworks.registry import REGISTERED
from normcheck.normalizers import catalog
from normcheck.normalizers.normalizer import Normalizer
from normcheck.report.terminal.implementation import NARROW, deviates, extended_row, has_table_row, table

PAPER, PROMISED = Paper("Nobody", 2026, "Doubling", "https://example.org", "eq. 1"), Contract()

ROOT = Path(families.__file__).parent


@dataclass(frozen=True)
class Doubler:
    """An entry of the family: doubles whatever it gets."""

    name: str = "doubler"
    title: str = "doubling"
    paper: Paper = PAPER
    formula: str = "y = 2 x"
    note: str = ""
    arguments: tuple[str, ...] = ("input",)


@dataclass(frozen=True)
class Number:
    value: int = 1


@dataclass(frozen=True)
class Numbers:
    entries: type = Doubler
    plain: Number = Number()

    def recipe(self, entry: Doubler, draw: Number) -> Asked:
        return Asked(np.array(float(draw.value)))

    def unsupported_reason(self, subject: Any) -> str:
        return ""

    def explicit_examples(self, subject: Any) -> Iterator[Number]:
        yield Number()

    def sample(self, subject: Any, pick: Pick) -> Number:
        return Number(pick(range(1, 1000)))

    def adapt(self, subject: Any, draw: Number) -> Number:
        return draw

    def words(self) -> str:
        return "Numbers."


@dataclass(frozen=True)
class Asked:
    x: Array

    def describe(self) -> dict[str, Any]:
        return {"x": float(self.x)}


@dataclass(frozen=True)
class Mine:
    """A doubler that is wrong from a number on."""

    wrong_from: int
    name: str = "mine"
    entry: Doubler = Doubler()
    contract: Contract = PROMISED
    absent: dict[str, str] = field(default_factory=dict)

    def call(self, x: Array) -> Array:
        return 2 * x + (x >= self.wrong_from)


def ask(subject: Mine, case: Asked) -> Any:
    return differ("y = 2 x", subject.call(case.x), 2 * case.x, np.array(1e-9))


CHECK = Check("doubles", "y = 2 x", "nowhere", ask, Numbers())


def test_the_interfaces_are_fulfilled() -> None:
    space: CaseSpace = Numbers()
    subject: BoundSubject = Mine(5)
    assert (space.plain, subject.entry.name) == (Number(), "doubler")


def test_a_check_concerns_its_own_family_alone() -> None:
    """A predicate of one family is never asked about entries of another."""
    assert CHECK.concerns(Doubler())
    assert not CHECK.concerns(families.get("layer_norm"))
    assert not any(check.concerns(Doubler()) for check in families.CHECKS)


def test_search_finds_and_shrinks() -> None:
    """The smallest number from which on the doubler is wrong, as a replay that other tools can read."""
    found = search(Mine(37), CHECK, Effort(200)).finding
    assert found is not None
    assert found.case["x"] > 37.0  # the most telling one
    assert found.smallest == "doubles/value=37"
    assert search(Mine(10_000), CHECK, Effort(200)).status == PASSED


def test_replay_is_of_the_family() -> None:
    assert decode(encode("doubles", Number(7)), Numbers().plain) == ("doubles", Number(7))


def test_sweep_asks_plain_draws() -> None:
    assert run_check(Mine(1), CHECK, draws(Mine(1), CHECK, 3, seed=0)).status == FAILED


PARTS = {"__init__", "entry", "case", "space", "subject", "reference", "bounds", "checks", "faults", "explain"}
"""The files or folders of every family's folder, beside one for each framework."""

MORE = {
    "recurrent": {"diagnosis"},
    "whitening": {"network"},
    "defined": {"weaker", "network", "kinds", "proofs", "tracing", "axis", "fixed_constants", "diagnosis"},
    "synchronized": {"conventions"},
}
"""Parts that not every family has.

Recurrent nets search for the fault that explains findings. What has a row of the table of the field is a network.
Defined normalizers are many kinds, whose gradients are proved, and whose errors are traced; an eps in float32 is a
warning; code has their units in
another axis, and fixes constants; their many faults are searched by what is wrong. What synchronized code is given is
a convention.
"""

FOLDERS = [name for name in families.MODULES if (ROOT / name).is_dir()]


@pytest.mark.parametrize("name", FOLDERS)
def test_every_family_has_the_same_files(name: str) -> None:
    parts = {path.stem for path in (ROOT / name).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert parts & set(REGISTERED)
    assert parts - set(REGISTERED) == PARTS | MORE.get(name, set())


def test_every_folder_is_listed() -> None:
    assert set(families.MODULES) == {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"normalizers"}


def test_draws_and_spaces_are_named_alike() -> None:
    for check in families.CHECKS:
        assert type(check.space).__name__.endswith("Space"), check.name
        assert type(check.space.plain).__name__.endswith("Draw"), check.name


@pytest.mark.parametrize("kind", families.ENTRIES)
def test_every_entry_has_a_family_and_a_binder(kind: str) -> None:
    entry = families.get(kind)
    family = families.of(entry)
    assert type(entry) is family.entry_type
    assert callable(family.bind)
    assert any(check.concerns(entry) for check in families.CHECKS)
    assert any(fault.concerns(entry) for fault in family.faults.values())
    assert list(family.sections(entry))


def test_a_word_names_one_thing() -> None:
    """Kinds, checks and faults of all families have names of their own."""
    words = [
        *families.ENTRIES,
        *(check.name for check in families.CHECKS),
        *(n for f in families.FAMILIES for n in f.faults),
    ]
    assert len(set(words)) == len(words)
    assert all(isinstance(entry, Normalizer) for entry in catalog.ALL.values())


ROWED = [kind for kind, entry in families.ENTRIES.items() if not isinstance(entry, Normalizer)]


@pytest.mark.parametrize("kind", ROWED)
def test_every_kind_has_a_line_in_the_table_with_the_cells_that_it_is_asked(kind: str) -> None:
    """Normalizers have theirs in test_catalog and test_extended."""
    family = families.of(families.get(kind))
    bound = family.faulty(families.get(kind), None, Contract())
    metrics = {"row": family.row(families.get(kind)) is not None, "extended": bool(family.extended(families.get(kind)))}
    outcomes, asked = [], set()
    for check in families.CHECKS:
        if check.concerns(bound.entry) and not (check.lacks(bound) or check.space.unsupported_reason(bound)):
            outcome = run_check(bound, check, draws(bound, check, 2, 1))
            if any(key.partition("/")[0] in ("row", "extended") for key in outcome.metrics):
                outcomes.append(outcome)
                asked.add(check.name)
    assert asked <= {check.name for check in family.table}, "`normcheck table` asks those of the table alone"
    record = verdict.implementation(outcomes[0].kind, outcomes[0].target, outcomes)
    cells = dict(zip(NARROW, extended_row(record), strict=True))

    assert has_table_row(record)
    assert not deviates(record)
    assert any(text.startswith(kind) for text, _ in table([record], 80))
    if metrics["extended"]:
        assert {name for name in EXTENDED_NAMES if cells[name][0]} == set(family.extended(families.get(kind)))
    assert {cells[name][0] for name in COLUMN_NAMES} <= {
        "invariant",
        "not invariant",
        "" if not metrics["row"] else "-",
    }


@pytest.mark.parametrize("family", families.FAMILIES, ids=families.MODULES)
def test_a_check_is_the_same_wherever_a_family_lists_it(family: Family) -> None:
    """Where code in a form is not asked a check, the table must not ask it either."""
    listed = {id(check) for check in family.checks}

    assert [check.name for check in family.table if id(check) not in listed] == []
