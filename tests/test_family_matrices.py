"""The families of whitening and of optimizers prove their teeth: every fault is found, by the checks that are kept.

Every check is asked of every fault on every entry that it can befall. This file as a script writes the matrix anew.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from sweeps import sweep

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.check import Check
from normcheck.core.contract import Contract
from normcheck.core.family import Family
from normcheck.core.result import FAILED, PASSED
from normcheck.families.path_optimizer.entry import PathOptimizer
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.whitening.checks import table
from normcheck.families.whitening.entry import Whitening

GOLDEN = Path(__file__).with_name("family_matrices.txt")
COUNT, SEED = 6, 1

LEAST = {PathOptimizer: 20, Whitening: 16, Reparametrized: 20, Synchronized: 20}
"""The families, with the faults that each has at least."""

FAMILIES = {family.entry_type: family for family in families.FAMILIES if family.entry_type in LEAST}
FAULTS = {name: family for family in FAMILIES.values() for name in family.faults}
KINDS = [name for name, entry in families.ENTRIES.items() if type(entry) in FAMILIES]
CHECKS = [check for check in families.CHECKS if check.space.entries in FAMILIES]

REASONS = {
    "needs no closed form: it holds whatever ours is worth": (
        "path-function",
        "path-rescaling",
        "path-total",
        "white-variance",
        "white-rotation",
        "white-turning-gradient",
        "white-triangle",
        "white-groups",
        "white-scale",
        "white-shift",
        "refresh-function",
        "refresh-constant",
        "refresh-shift",
        "refresh-rotation",
        "refresh-linear",
        "refresh-length",
        "refresh-mean-output",
        "refresh-mean-slope",
        "sync-agreement",
        "sync-division",
        "sync-other-cases",
    ),
    "one thing at a time, so that the finding says which": (
        "path-step",
        "path-steps",
        "path-rate",
        "white-output",
        "white-running",
        "white-evaluation",
        "refresh-step",
        "sync-output",
        "sync-input-gradient",
        "sync-running",
        "sync-evaluation",
        "sync-saved",
    ),
    "a cell of Table 1, which is measured and printed": tuple(check.name for check in table.CHECKS),
}

STAYS = {name: reason for reason, names in REASONS.items() for name in names}
"""Why a check stays whose faults others find too."""


@lru_cache(maxsize=512)
def some(kind: str, check: Check) -> tuple[Any, ...]:
    """What the suite always asks, and a few draws at random."""
    entry = families.get(kind)
    plain = families.of(entry).faulty(entry, None, Contract())
    return (*check.space.explicit_examples(plain), *draws(plain, check, int(COUNT / check.cost), SEED))


def asked_of(subject: Any) -> list[Check]:
    return [check for check in CHECKS if check.concerns(subject.entry) and not check.lacks(subject)]


def killers(family: Family, kind: str, name: str) -> list[str]:
    entry, fault = families.get(kind), family.faults[name]
    able = asked_of(family.faulty(entry, fault, Contract()))
    return [
        check.name
        for check in able
        if run_check(family.faulty(entry, fault, Contract()), check, some(kind, check)).status == FAILED
    ]


def lines(name: str) -> list[str]:
    """A fault on each entry that it can befall, with the checks that find it."""
    family = FAULTS[name]
    kinds = [entry.name for entry in family.entries if family.faults[name].concerns(entry)]
    return [f"{name} / {kind}: {' '.join(killers(family, kind, name))}".rstrip() for kind in kinds]


def kept() -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for line in GOLDEN.read_text().splitlines():
        out.setdefault(line.partition(" / ")[0], []).append(line)
    return out


@sweep("name", FAULTS, group=lambda name: FAULTS[name].entry_type)
def test_found_as_kept(name: str) -> None:
    """Every fault is found on every entry that it can befall, by the checks that found it before."""
    now = lines(name)

    assert now
    assert not [line for line in now if line.endswith(":")]
    assert now == kept().get(name)


def test_nothing_else_is_kept() -> None:
    assert set(kept()) == set(FAULTS)


def test_enough_faults_each_with_a_story_and_a_source() -> None:
    for entries, family in FAMILIES.items():
        assert len(family.faults) >= LEAST[entries]
        assert all(f.story.endswith(".") and f.source for f in family.faults.values())


def test_every_check_is_needed_or_says_why_it_stays() -> None:
    """A check finds a fault that no other finds, or finds one and stays for a reason."""
    rows = [set(line.partition(": ")[2].split()) for some in kept().values() for line in some]
    alone = {next(iter(found)) for found in rows if len(found) == 1}
    finds = set().union(*rows)

    assert [check.name for check in CHECKS if check.name not in finds] == []
    assert [check.name for check in CHECKS if check.name not in alone and check.name not in STAYS] == []
    assert [name for name in STAYS if name in alone or name not in families.CHECKS_BY_NAME] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_correct_implementation_passes(kind: str) -> None:
    entry = families.get(kind)
    subject = families.of(entry).faulty(entry, None, Contract())
    outcomes = [run_check(subject, check, some(kind, check)) for check in asked_of(subject)]
    assert outcomes
    assert not [(o.check, o.finding) for o in outcomes if o.status != PASSED]


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        GOLDEN.write_text("".join(f"{line}\n" for some in pool.map(lines, FAULTS) for line in some))
