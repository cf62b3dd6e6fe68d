"""Every fault of recurrent nets is found, every check of theirs finds one, and a correct net passes.

All checks are asked on the first entry that a fault can befall, on the others until one finds it. What found what is
kept in recurrent_kill_matrix.txt; this file as a script writes it anew.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from sweeps import sweep

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.check import Check
from normcheck.core.contract import Contract
from normcheck.core.result import FAILED, PASSED
from normcheck.families.recurrent import faults
from normcheck.families.recurrent.entry import ENTRIES, Recurrent
from normcheck.families.recurrent.faults.base import RecurrentFault
from normcheck.families.recurrent.subject import RecurrentSubject

GOLDEN = Path(__file__).with_name("recurrent_kill_matrix.txt")
ALL = tuple(check for check in families.CHECKS if check.space.entries is Recurrent)
BY_NAME = {entry.name: entry for entry in ENTRIES}


def net(entry: Recurrent, fault: RecurrentFault | None = None) -> RecurrentSubject:
    return faults.faulty(entry, fault, Contract())


def asked_of(subject: RecurrentSubject) -> list[Check]:
    return [check for check in ALL if check.concerns(subject.entry) and not check.lacks(subject)]


def finds(check: Check, subject: RecurrentSubject) -> bool:
    """Whether what is always tried finds a fault."""
    return run_check(subject, check, check.space.explicit_examples(subject)).status == FAILED


def lines(fault: RecurrentFault) -> list[str]:
    """Fault and entry with the checks that find it: all on the first entry, one on each of the others."""
    first, *others = (entry for entry in ENTRIES if fault.concerns(entry))
    subject = net(first, fault)
    found = [check.name for check in asked_of(subject) if finds(check, subject)]
    out = [f"{fault.name} / {first.name}: {' '.join(found)}".rstrip()]
    for entry in others:
        subject = net(entry, fault)
        likely = sorted(asked_of(subject), key=lambda check: check.name not in found)
        one = next((check.name for check in likely if finds(check, subject)), "")
        out.append(f"{fault.name} / {entry.name}:{f' {one} ...' if one else ''}")
    return out


def lines_of(name: str) -> list[str]:
    return lines(faults.ALL[name])


def kept() -> dict[str, list[str]]:
    """The golden matrix: the lines of each fault."""
    out: dict[str, list[str]] = {}
    for line in GOLDEN.read_text().splitlines():
        out.setdefault(line.partition(" / ")[0], []).append(line)
    return out


REASONS = {
    "a column of the table, which is measured and printed": tuple(
        check.name for check in ALL if check.name.endswith(("-rescaling", "-recentering"))
    ),
    "needs no reference: it holds whatever ours is worth": (
        "causal", "recurrent-batch-independence", "own-step-statistics", "gates-in-order", "gradient-along-weights",
        "gain-and-slope",
    ),
    "the plain question, which other checks repeat in other circumstances": (
        "recurrent-output", "recurrent-gradient", "step-statistics", "recurrent-evaluation",
        "recurrent-evaluation-gradient",
    ),
}  # fmt: skip

STAYS = {name: reason for reason, names in REASONS.items() for name in names}
"""Why a check stays whose faults others find too."""


def test_enough_faults_each_with_a_story_and_a_source() -> None:
    assert len(faults.ALL) >= 25
    for fault in faults.ALL.values():
        assert fault.story.endswith("."), fault.name
        assert any(fault.concerns(entry) for entry in ENTRIES), fault.name
    assert len(faults.ALL) == sum(len(part.ALL) for part in (faults.statistics, faults.calls, faults.net, faults.norm))


@sweep("name", faults.ALL)
def test_found_as_kept(name: str) -> None:
    """Every fault is found on every entry that it can befall, by the checks that found it before."""
    now = lines_of(name)

    assert not [line for line in now if line.endswith(":")]
    assert now == kept().get(name)


def test_nothing_else_is_kept() -> None:
    assert set(kept()) == set(faults.ALL)


def test_every_check_finds_a_fault_that_no_other_finds_or_says_why_it_stays() -> None:
    found = [set(some[0].partition(": ")[2].split()) for some in kept().values()]
    alone = {next(iter(names)) for names in found if len(names) == 1}
    anything = {name for some in kept().values() for line in some for name in line.partition(":")[2].split()}

    assert [check.name for check in ALL if check.name not in anything] == []
    assert [check.name for check in ALL if check.name not in alone and check.name not in STAYS] == []
    assert [name for name in STAYS if name in alone or name not in {check.name for check in ALL}] == []


@pytest.mark.parametrize("kind", BY_NAME)
def test_a_correct_net_passes(kind: str) -> None:
    """In working precision, always asked draws and random ones, within half of what is allowed."""
    subject = net(BY_NAME[kind])
    for check in asked_of(subject):
        outcome = run_check(
            subject, check, (*check.space.explicit_examples(subject), *draws(subject, check, int(24 / check.cost), 1))
        )
        assert outcome.status == PASSED, (check.name, outcome.finding)
        assert outcome.bound_ratio <= 0.5, check.name


if __name__ == "__main__":
    with ProcessPoolExecutor() as pool:
        GOLDEN.write_text("".join(f"{line}\n" for some in pool.map(lines_of, faults.ALL) for line in some))
