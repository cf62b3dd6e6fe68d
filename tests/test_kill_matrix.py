"""Every fault is found by a check, every check finds a fault, and a correct implementation passes.

Every check that can see a fault runs on the first normalizer that the fault concerns; on the others, checks run until
one finds it; expensive checks run if no other finds it. kill_matrix.txt lists which checks find each fault; run as a
script, this file writes it again.
"""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import sweep

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.check import Check
from normcheck.core.contract import Contract
from normcheck.core.result import FAILED, PASSED
from normcheck.engine.search import EFFORTS
from normcheck.engine.self_check import remembered
from normcheck.families import CHECKS_BY_NAME
from normcheck.normalizers import catalog, faults
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks import extended
from normcheck.normalizers.checks.invariance import EXPECTED_STATISTICS, TABLE
from normcheck.normalizers.faults import Fault
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, state, values
from normcheck.normalizers.sampling.space import edges
from normcheck.normalizers.subject import Subject

GOLDEN = Path(__file__).with_name("kill_matrix.txt")
COUNT, SEED = EFFORTS["default"], 1

ALL = tuple(check for check in families.CHECKS if check.space.entries is Normalizer)
"""The checks of this family; each other family has a matrix of its own."""


def _needing(**offers: Any) -> set[str]:
    """The checks that cannot run on an implementation whose domain is smaller."""
    whole = faults.subject(families.get("batch_norm"))
    less = replace(whole, domain=replace(whole.domain, **offers))
    return {check.name for check in ALL if check.lacks(less)}


SEEN = {
    "forward": {check.name for check in ALL},
    # the others ask for gradients if there are any
    "backward": _needing(gradient=False) | {"every-width", "any-weight", "batch-invariance"},
    "running": _needing(state=False),
    "evaluation": _needing(evaluation=False),
    "format": {"output-format"},
    "memory": _needing(watched=False) | _needing(layouts=()),
    "construction": {"construction"},
    "mode": {"evaluation-mode", "changed-parameters"},
    "use": _needing(uses=()),
    "refusal": {"wrong-sizes"},
}
"""Which checks can see what a fault damages."""


def asked_of(subject: Subject) -> list[Check]:
    return [check for check in ALL if check.concerns(subject.normalizer) and not check.lacks(subject)]


@lru_cache(maxsize=512)
def some(normalizer: Normalizer, check: Check) -> tuple[Draw, ...]:
    """The explicit examples of a check, and a few random draws."""
    subject = faults.subject(normalizer)
    return (*edges(check.space, normalizer, subject.domain), *draws(subject, check, int(COUNT / check.cost), SEED))


def finds(check: Check, subject: Subject) -> bool:
    return run_check(subject, remembered(check), some(subject.normalizer, check)).status == FAILED


def asking(normalizer: Normalizer, fault: Fault) -> list[Check]:
    """The checks that can see a fault."""
    subject = faults.subject(normalizer, fault, fault.under)
    return [check for check in asked_of(subject) if check.name in SEEN[fault.where]]


def kills(check: Check, normalizer: Normalizer, fault: Fault) -> bool:
    """Whether a check finds a fault in an implementation that was not called before."""
    return finds(check, faults.subject(normalizer, fault, fault.under))


def killers(normalizer: Normalizer, fault: Fault) -> list[str]:
    """The checks that find a fault, in the order of the suite; expensive ones run if no other finds it."""
    able = asking(normalizer, fault)
    cheap = [check.name for check in able if check.cost < math.inf and kills(check, normalizer, fault)]
    return cheap or [check.name for check in able if check.cost == math.inf and kills(check, normalizer, fault)]


def first_killer(normalizer: Normalizer, fault: Fault, likely: tuple[str, ...]) -> str:
    """One check that finds a fault, the likely ones first; empty if none does."""
    able = asking(normalizer, fault)
    able.sort(key=lambda check: check.name not in likely)
    return next((check.name for check in able if kills(check, normalizer, fault)), "")


def lines(fault: Fault) -> list[str]:
    """Fault and normalizer with the checks that find it: all on the first normalizer, one on each of the others.

    An ellipsis stands where the first check that found it ended the search.
    """
    first, *others = (n for n in catalog.ALL.values() if fault.concerns(n))
    likely = tuple(killers(first, fault))
    out = [f"{fault.name} / {first.name}: {' '.join(likely)}".rstrip()]
    for normalizer in others:
        one = first_killer(normalizer, fault, likely)
        out.append(f"{fault.name} / {normalizer.name}:{f' {one} ...' if one else ''}")
    return out


def lines_of(name: str) -> list[str]:
    return lines(faults.get(name))


def kept() -> dict[str, list[str]]:
    """The golden matrix: the lines of each fault."""
    out: dict[str, list[str]] = {}
    for line in GOLDEN.read_text().splitlines():
        out.setdefault(line.partition(" / ")[0], []).append(line)
    return out


KEPT = kept()


def found_by(name: str) -> set[str]:
    """The checks that find a fault according to the matrix, on the normalizer on which all of them ran."""
    return set(KEPT[name][0].partition(": ")[2].split())


REASONS = {
    "a cell of Table 1, which is measured and printed": (
        *(check.name for check in TABLE), *(check.name for check in EXPECTED_STATISTICS),
        *(check.name for check in extended.CHECKS),
    ),
    "needs no reference: it holds whatever ours is worth": (
        "shift-of-each-case", "shift-of-each-unit", "permutation", "batch-independence", "sign", "affine-map",
        "affine-scale", "dependency", "eps-co-scaling", "gradient-adjoint",
        "training-ignores-state", "evaluation-alone", "repeats", "repeats-gradient",
    ),
    "says in its own words what is wrong, where a comparison of numbers only says how much": (
        "finite", "moments", "eps-is-read", "constant-rows", "constant-gradient", "gradient-mode", "gradient-sums",
        "bias-drift",
    ),
    "what a network gains by it, in the network's own words: a claim of a paper, asked as it is made": (
        "relu-alive", "relu-loses-nothing", "input-restored", "slopes-bounded", "negatives-kept",
        "bias-drift-in-a-network", "weight-scale-drift", "weight-norm-below", "data-dependent-initialization",
    ),
    "the plain question, which other checks repeat in other circumstances": (
        "evaluation", "parameter-gradients", "running-statistics",
    ),
    "one thing at a time, so that the finding says which": (
        "input-layout", "input-layout-gradient", "cotangent-layout", "parameter-layout", "state-dict", "moved-state",
    ),
    "the forward alone, for code that has no gradient": (
        "subnormal", "magnitudes", "outlier", "wide-sets", "many-sets",
    ),
}  # fmt: skip

STAYS = {name: reason for reason, names in REASONS.items() for name in names}
"""Why a check stays whose faults others find too."""


def test_enough_faults_each_with_a_story_and_a_source() -> None:
    assert len(faults.ALL) >= 120
    for fault in faults.ALL.values():
        assert fault.story.endswith("."), fault.name
        assert "#" in fault.source or "." in fault.source or fault.source == "constructed", fault.name
        assert any(fault.concerns(n) for n in catalog.ALL.values()), fault.name


def _place(name: str) -> tuple[str, str]:
    """What a fault damages, and the first check that finds it; none of a fault that is not in the matrix yet."""
    first = KEPT[name][0].partition(": ")[2].partition(" ")[0] if name in KEPT else ""
    return faults.get(name).where, first


@sweep("fault", faults.ALL, of=8, group=_place)
def test_found_as_kept(fault: str) -> None:
    """Every fault is found on every normalizer that can have it, by the checks that found it before."""
    now = lines(faults.get(fault))

    assert not [line for line in now if line.endswith(":")]
    assert now == KEPT.get(fault)


def test_nothing_else_is_kept() -> None:
    assert set(KEPT) == set(faults.ALL)


def test_every_check_finds_a_fault() -> None:
    found = {name for fault in faults.ALL for name in found_by(fault)}
    assert not [check.name for check in ALL if check.name not in found]


def test_every_check_is_needed_or_says_why_it_stays() -> None:
    """A check finds a fault that no other finds, or stays for a reason."""
    alone = {next(iter(found)) for found in map(found_by, faults.ALL) if len(found) == 1}

    assert [check.name for check in ALL if check.name not in alone and check.name not in STAYS] == []
    assert [name for name in STAYS if name in alone or name not in CHECKS_BY_NAME] == []


@pytest.mark.parametrize("kind", catalog.ALL)
def test_a_correct_implementation_passes(kind: str) -> None:
    subject = faults.subject(families.get(kind))
    outcomes = [run_check(subject, remembered(check), some(subject.normalizer, check)) for check in asked_of(subject)]
    assert len(outcomes) > 20
    assert not [(o.check, o.finding) for o in outcomes if o.status != PASSED]


@pytest.mark.parametrize("kind", catalog.ALL)
def test_a_fault_damages_what_it_says(kind: str) -> None:
    normalizer = families.get(kind)
    draw = Draw(n=12, sets=6, rank=faults.subject(normalizer).domain.ranks[0], seed=3, dy="every second")
    plain = values(normalizer, draw)
    training = state(normalizer, draw, training=True) if normalizer.state else plain
    evaluating = state(normalizer, draw, training=False) if normalizer.state else plain
    untouched: dict[str, tuple[tuple[Case, str], ...]] = {
        "forward": (),
        "format": ((plain, "dx"), (plain, "dweight"), (training, "running_var")),
        "backward": ((plain, "y"), (training, "running_mean"), (training, "running_var"), (evaluating, "y")),
        "running": ((plain, "y"), (plain, "dx"), (plain, "dweight"), (evaluating, "y"), (evaluating, "dx")),
        "evaluation": ((plain, "y"), (plain, "dx"), (training, "y"), (training, "running_var")),
        "memory": ((plain, "y"), (plain, "dx"), (training, "running_var"), (evaluating, "y")),
    }
    untouched |= dict.fromkeys(("use", "mode", "construction", "refusal"), untouched["memory"])
    right = faults.subject(normalizer)
    for fault in faults.concerning(normalizer):
        wrong = faults.subject(normalizer, fault)
        for case, name in untouched[fault.where]:
            expected, got = (getattr(subject.call(case, True), name) for subject in (right, wrong))
            assert (expected is None and got is None) or np.array_equal(expected, got), (fault.name, name)


def test_two_faults_compose() -> None:
    """Each change of the second is applied to what the first changed; where they do not meet, the order is free."""
    normalizer = families.get("layer_norm")
    case = values(normalizer, Draw(n=13, sets=6))
    pairs = [
        ("eps-hard-coded", "mean-term-missing"),
        ("bias-ignored", "variance-unbiased"),
        ("dx-not-divided", "dweight-averaged"),
        ("padded-lanes-in-variance", "dx-without-weight"),
        ("variance-term-doubled", "mean-term-missing"),
    ]
    for one, two in pairs:
        first, second = faults.get(one), faults.get(two)
        both, back = (
            faults.subject(normalizer, f).call(case, True)
            for f in (faults.compose(first, second), faults.compose(second, first))
        )
        alone = faults.subject(normalizer, first).call(case, True)
        assert both.dx is not None
        assert back.dx is not None
        assert np.allclose(both.y, back.y)
        assert np.allclose(both.dx, back.dx)
        assert any(
            not np.array_equal(getattr(both, name), getattr(alone, name)) for name in ("y", "dx", "dweight", "dbias")
        )


def test_a_fault_breaks_a_convention_that_was_promised() -> None:
    """Under another contract the same fault is still one, and a correct subject follows the contract."""
    normalizer = families.get("layer_norm")
    promised = Contract(eps_place="outside", weight="1+w")
    check = next(c for c in ALL if c.name == "eps-is-read")
    assert not finds(check, faults.subject(normalizer, contract=promised))
    assert finds(check, faults.subject(normalizer, faults.get("eps-outside-root"), promised))
    assert finds(check, faults.subject(normalizer, faults.get("weight-absolute"), promised))


if __name__ == "__main__":
    with ProcessPoolExecutor() as pool:
        GOLDEN.write_text("".join(f"{line}\n" for some in pool.map(lines_of, faults.ALL) for line in some))
