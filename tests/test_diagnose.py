"""A diagnosis names the fault: of code as users write it, of two faults at once, and of every fault of the catalog.

`python -m pytest tests/test_diagnose.py -s` prints the rates and the times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import sweep

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract
from normcheck.core.result import FAILED, PASSED, Finding, Outcome
from normcheck.diagnosis.fault_search import Diagnosis, examine
from normcheck.diagnosis.observation import Observation
from normcheck.diagnosis.pair_outputs import pair_outputs
from normcheck.engine.search import Effort, search
from normcheck.families import CHECKS_BY_NAME
from normcheck.families import bind as subject
from normcheck.frameworks.torch.tensors import one_thread
from normcheck.normalizers import catalog, faults
from normcheck.normalizers.faults import demanded
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.recipes import Draw, values
from normcheck.normalizers.subject import Subject

HERE = Path(__file__).parent
WRONG, PAIRS, CORRECT = (
    json.loads((HERE / "user_code" / f"{name}.json").read_text()) for name in ("wrong", "pairs", "correct")
)
KILLS = dict(line.split(":", 1) for line in (HERE / "kill_matrix.txt").read_text().splitlines())

ALIKE: dict[str, tuple[str, ...]] = {
    "statistics-of-whole-tensor": ("cases-shared",),  # sets of all units: shared by all cases, it is the whole tensor
    "output-shares-memory": ("input-overwritten",),  # an output that lies in its input has been written there
    "dx-zero-at-one-width": ("dx-missing",),  # at that width in one format, no gradient is returned
    "last-block-of-sets-dropped": ("dweight-tail-dropped",),  # the same sets are left out wherever there are 64
}
"""Faults that are one behavior under two names on the normalizers of this file, with the reason; either is right."""

OF_THEIR_OWN = ("construction", "every-width", "wrong-sizes")
"""Checks whose faults show in no case of another: a diagnosis is given the case of the finding, as in a run."""

BITS = {fault.name for fault in demanded.FAULTS}
"""Faults that no bound shows: the conventions name them, with tests in test_declared_bits.py and
test_batch_invariance.py."""

RAISING = {"backward-refuses-widths"}
"""Faults of which an exception tells what is wrong, with its text and the shapes on which it is raised."""

PARTS = 4
"""So many parts share the pieces of code among workers; each part must reach the rates of the whole."""


@dataclass(frozen=True)
class Rate:
    """How often the name was right, and which names were given where it was not."""

    first: int
    three: int
    count: int
    seconds: tuple[float, ...]
    missed: tuple[str, ...]

    def __str__(self) -> str:
        first, three = (100.0 * n / self.count for n in (self.first, self.three))
        median, longest = np.median(self.seconds), max(self.seconds)
        head = (
            f"first {first:.1f} %, among three {three:.1f} % of {self.count}; {median:.2f} s, at most {longest:.2f} s"
        )
        return "\n  ".join((head, *self.missed))


def found_by(mine: Subject, checks: Iterable[str]) -> list[Outcome]:
    """Outcomes of which a diagnosis reads the names of the checks alone."""
    return [
        Outcome(mine.normalizer.name, mine.name, check, FAILED, finding=Finding(check, "", 1.0, 0.0, (), {}))
        for check in checks
    ]


def searched(mine: Subject, name: str) -> list[Outcome]:
    """The outcome of a check, with the case of its finding where only that shows the fault."""
    found = search(mine, CHECKS_BY_NAME[name], Effort(0, shrinks=False)) if name in OF_THEIR_OWN else None
    return found_by(mine, [name]) if found is None or found.finding is None else [found]


def right(found: str, wanted: str) -> bool:
    """Whether two names, of one fault or of two in any order, are the same."""
    names, others = found.split("+"), wanted.split("+")
    return sorted(names) == sorted(others) or found in ALIKE.get(wanted, ())


def rate(some: Iterable[tuple[str, str, Callable[[], tuple[Subject, list[Outcome]]]]]) -> Rate:
    """Diagnose each subject; given are its label, the right name, and how to make it with its outcomes."""
    first = three = count = 0
    seconds: list[float] = []
    missed = []
    for label, wanted, make in some:
        with one_thread():
            mine, outcomes = make()
            started = time.perf_counter()
            names = examine(mine, outcomes).names
            seconds.append(time.perf_counter() - started)
        count += 1
        first += bool(names) and right(names[0], wanted)
        three += any(right(name, wanted) for name in names[:3])
        if not (names and right(names[0], wanted)):
            missed.append(f"{label}: {wanted}, named {', '.join(names[:3]) or 'nothing'}")
    return Rate(first, three, count, tuple(seconds), tuple(missed))


def user_code(one: dict[str, Any]) -> Subject:
    return subject(Implementation(one["kind"], str(HERE.parent / one["target"]), one.get("contract", {})))


def of_user(one: dict[str, Any]) -> tuple[str, str, Callable[[], tuple[Subject, list[Outcome]]]]:
    def make() -> tuple[Subject, list[Outcome]]:
        mine = user_code(one)
        return mine, searched(mine, one.get("check", "value"))

    return f"{one['kind']} {Path(one['target']).name}", one["fault"], make


def of_catalog(name: str) -> tuple[str, str, Callable[[], tuple[Subject, list[Outcome]]]]:
    fault, first = faults.get(name), first_kind(name)

    def make() -> tuple[Subject, list[Outcome]]:
        mine = faults.subject(first, fault, fault.under)
        checks = KILLS[f"{name} / {first.name}"].split()[:3]
        return mine, [one for check in checks for one in searched(mine, check)]

    return first.name, name, make


def one_of_each() -> list[dict[str, Any]]:
    """A piece of code with each fault, by turns the first, the second, ... that has it."""
    pieces: dict[str, list[dict[str, Any]]] = {}
    for one in WRONG:
        if one["fault"] not in BITS | RAISING:
            pieces.setdefault(one["fault"], []).append(one)
    return [of_one[turn % len(of_one)] for turn, of_one in enumerate(pieces.values())]


def known_faults() -> list[str]:
    """Faults of the catalog that a case of a check shows."""
    return [name for name in faults.ALL if f"{name} / {first_kind(name).name}" in KILLS and name not in BITS | RAISING]


def first_kind(name: str) -> Normalizer:
    return next(n for n in catalog.ALL.values() if faults.get(name).concerns(n))


@sweep("part", range(PARTS), of=PARTS)
def test_code_as_users_write_it(part: int, capsys: pytest.CaptureFixture[str]) -> None:
    """One fault in real code: named first in nine of ten, among the first three in nearly all.

    A piece for each fault here, all of them by `tests/diagnosis_rates.py`.
    """
    found = rate(of_user(one) for one in one_of_each()[part::PARTS])
    with capsys.disabled():
        print(f"\nsingle faults, user code: {found}")

    assert found.first >= 0.9 * found.count, found
    assert found.three >= 0.97 * found.count, found


def test_two_faults_in_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Both faults are in the first diagnosis in four of five."""
    found = rate(of_user(one) for one in PAIRS)
    with capsys.disabled():
        print(f"\npairs, user code: {found}")

    assert found.count == 30
    assert found.first >= 0.8 * found.count, found


def test_every_fault_of_the_catalog(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault on the reference is named as that fault; a fifth of them here, all by `tests/diagnosis_rates.py`."""
    found = rate(of_catalog(name) for name in known_faults()[::5])
    with capsys.disabled():
        print(f"\nfaults of the catalog: {found}")

    assert found.first >= 0.95 * found.count, found


def test_an_output_of_another_shape_is_compared_by_its_shape_alone() -> None:
    """Pairs of faults are screened all together: none of them has that shape, and no number is compared."""
    normalizer = families.get("layer_norm")
    case = values(normalizer, Draw(n=6, sets=4))
    truth = evaluate(normalizer, case)
    nothing, off = np.zeros((), dtype=bool), np.zeros((3, 1))
    seen = Observation("y", truth, off, truth.y, nothing, nothing, wrong=True)
    two = (faults.get("eps-ignored"), faults.get("bias-ignored"))

    assert pair_outputs(normalizer, Contract(), case).near(seen, [two], [False]) == [False]
    alike = replace(seen, observed=truth.y, expected=off)
    assert pair_outputs(normalizer, Contract(), case).near(alike, [two], [False]) == [True]


def test_no_finding_no_diagnosis() -> None:
    mine = faults.subject(families.get("layer_norm"), faults.get("eps-ignored"))
    passed = Outcome("layer_norm", mine.name, "value", PASSED)

    assert examine(mine, [passed]) == Diagnosis()


def test_what_nothing_explains_gets_no_name() -> None:
    """A fault that is not in the catalog is not given the name of another; the others are ruled out."""
    normalizer = families.get("layer_norm")
    sound = faults.subject(normalizer)
    strange = replace(
        sound,
        call=lambda case, gradient: replace(
            (answer := sound.call(case, gradient)),
            y=answer.y + 0.25 * np.cos(3.0 * evaluate(normalizer, case).xh),
        ),
    )
    found = examine(strange, found_by(strange, ["value"]))

    assert found.names == ()
    assert "eps-ignored" in found.ruled_out


def test_a_correct_implementation_is_not_blamed() -> None:
    """Where nothing is wrong nothing is named, whichever check is reported as failed."""
    for one in CORRECT[::9]:
        mine = user_code(one)

        assert examine(mine, found_by(mine, ["value", "input-gradient"])).names == (), one["target"]
