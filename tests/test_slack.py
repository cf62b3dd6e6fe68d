"""Every bound leaves correct code room: at most half of it is used, on the hardest cases that were found.

In a narrow format a bound is hardly more than the roundings of the format one by one: of the output, of each product in
a sum, of what is cast before it is multiplied. Right code may make all of them, each in full, so more of it is used.

The cases are kept in slack.txt, which tests/false_alarms.py writes after asking all correct code on many seeds. A law
that is exact has no bound: nothing but equality is allowed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest
from sound_code import SLACK, Asked, ask, implementations, questions, random_draws, short
from sweeps import sweep

from normcheck import families
from normcheck.core import replay
from normcheck.core.check import Check
from normcheck.core.floats import FORMATS
from normcheck.core.subject import BoundSubject
from normcheck.families import CHECKS_BY_NAME
from normcheck.families import bind as subject
from normcheck.frameworks.torch.tensors import one_thread

HALF, IN_NARROW_FORMATS = 0.5, 0.75
EXACT = "exact"
HARDEST = [line.split(" ", 3) for line in SLACK.read_text().splitlines()]
"""What is used, kind, target, case."""
EVERYWHERE = implementations()
TARGETS = {short(implementation): implementation for implementation in EVERYWHERE}
SEED = 20_000
"""Beyond the seeds with which the cases were found."""


def hardest(kind: str) -> Iterator[tuple[str, str, BoundSubject, Check, str]]:
    """What is kept of a kind, each with its implementation, bound once."""
    bound: dict[str, dict[str, BoundSubject]] = {}
    for used, its, target, case in HARDEST:
        if its == kind:
            if target not in bound:
                able = questions(subject(TARGETS[target]))
                bound[target] = {check.name: one for one, check in able}
            check = CHECKS_BY_NAME[replay.named(case)]
            yield used, target, bound[target][check.name], check, case


@pytest.mark.parametrize("kind", families.ENTRIES)
def test_the_hardest_cases_leave_room(kind: str) -> None:
    """Prints, for each check, what correct code uses: pytest -s."""
    over, lines = [], []
    with one_thread():
        for used, target, one, check, case in hardest(kind):
            draw = check.space.adapt(one, replay.decode(case, check.space.plain)[1])
            answer = ask(one, check, [draw])
            said = f"{check.name:<42}{answer.used.words():>6} (kept: {used})  {target}"
            lines.append(said)
            narrow = FORMATS[getattr(draw, "format", "float64")].narrow
            if answer.used.bound_ratio > (IN_NARROW_FORMATS if narrow else HALF) or (
                used == EXACT and not answer.used.exact
            ):
                over.append(f"{said}: {case}")
    print(f"\n{kind}", *lines, sep="\n")

    assert over == []
    assert lines


def sampled(kind: str) -> Iterator[tuple[str, Check, Asked]]:
    """Each check of every implementation of a kind on one of its decisive cases in turn, and on one random case."""
    mine = [implementation for implementation in EVERYWHERE if implementation.kind == kind]
    for i, implementation in enumerate(mine):
        for k, (one, check) in enumerate(questions(subject(implementation))):
            if check.cost > 1.0 and (i + k) % 8:
                continue
            every = list(check.space.explicit_examples(one))
            some = [every[(7 * i + k) % len(every)], *random_draws(one, check, range(SEED + i, SEED + i + 1))]
            yield short(implementation), check, ask(one, check, some)


@sweep("kind", families.ENTRIES, group=lambda kind: type(families.get(kind)))
def test_other_cases_use_half_of_a_bound_at_most(kind: str) -> None:
    """A sample of what no run has measured."""
    over: dict[str, list[str]] = defaultdict(list)
    count = 0
    with one_thread():
        for target, check, answer in sampled(kind):
            count += 1
            if answer.used.bound_ratio > HALF:
                used = answer.used
                over[check.name].append(f"{used.bound_ratio:.3f} {target} {used.law} {used.replay}")

    assert over == {}
    assert count


def test_every_check_has_a_hardest_case() -> None:
    """But those that only show a "no", which have no bound, and those of the deepest effort or asked on demand."""
    kept = {replay.named(case) for *_, case in HARDEST}
    deep = {check.name for check in families.CHECKS if check.least == "deep" or check.translation}

    assert {check.name for check in families.CHECKS} - kept - deep == ALWAYS_NO | {NOT_BUNDLED}


NOT_BUNDLED = "refresh-momentum"
"""Asked of layers that take a momentum, which none of the bundled ones does; those of tests/user_code/strangers do."""

ALWAYS_NO = {
    "weight_matrix_recentering-expected-statistics",
    "case_rescaling-expected-statistics",
    "white-weight-matrix-recentering",
    "white-case-rescaling",
    "white-independence-of-batch",
}
