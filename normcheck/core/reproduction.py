"""Name the fault of a finding: those of the family that, applied to its reference, make the same finding.

A fault is named if on the case of the finding, and on what its check always asks, it is off by as much as the
implementation, and if it breaks no law of another check that the implementation keeps. One function for every family
whose faults need no search of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from normcheck.core.ask import run_case
from normcheck.core.check import Check
from normcheck.core.contract import Contract
from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT64
from normcheck.core.foreign_code import quiet
from normcheck.core.replay import decode
from normcheck.core.result import WITNESS, Comparison, Finding, Outcome

EXAMPLES = 5
"""What a check always asks, as many of its draws as are compared."""

OTHERS = 2
"""The same of every other check."""

ROUNDED = 2.0
"""Bounds by which two answers with the same error may differ, each rounded on its own."""

DIGITS = 1e-4
"""The share of an error beside that: some laws start from numbers that were rounded by the implementation."""

NOISE = 2.0**8
"""The factor between two errors that are rounding noise of the same kind: sums in other orders, and a few roundings."""

BROKEN = (CallError, ArithmeticError, ValueError, KeyError, IndexError, np.linalg.LinAlgError)
"""What a fault may raise on a case for which it is not made."""

Faulty = Callable[[Any, Any, Contract], Any]
Like = Callable[[Any, Any], Any]
Diagnose = Callable[[Any, Sequence[Outcome]], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A fault that is tried. first: a test of the entry that comes before `concerns`, which may take long."""

    fault: Any
    first: Callable[[Any], bool]
    noisy: bool


def reproducing(
    checks: Iterable[Check],
    faults: Mapping[str, Any],
    faulty: Faulty,
    like: Like = lambda made, subject: made,
    *,
    noisy: Collection[str] = (),
    first: Mapping[str, Callable[[Any], bool]] | None = None,
) -> Diagnose:
    """The diagnosis of a family by its checks, its faults, and its reference with a fault.

    like: the reference with what a subject cannot be given. noisy: names of faults whose errors are rounding noise.
    first: fast tests of an entry by the name of a fault, where `concerns` of the fault takes long.
    """
    by_name = {check.name: check for check in checks}
    tests = first or {}
    suspects = {name: _Suspect(one, tests.get(name, one.concerns), name in noisy) for name, one in faults.items()}

    def diagnose(subject: Any, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
        """Names of the faults that make one of the findings, in the order of the list of faults."""
        findings = [o.finding for o in outcomes if o.finding is not None and o.check in by_name]
        named = [
            name
            for finding in findings
            for name in _makers(subject, by_name, finding, suspects, partial(_made, faulty, like, subject))
        ]
        return tuple(dict.fromkeys(named))

    return diagnose


def _made(faulty: Faulty, like: Like, subject: Any, fault: Any) -> Any:
    return like(faulty(subject.entry, fault, subject.contract), subject)


def _makers(
    subject: Any,
    by_name: Mapping[str, Check],
    finding: Finding,
    suspects: Mapping[str, _Suspect],
    made_with: Callable[[Any], Any],
) -> Iterator[str]:
    check = by_name[finding.check]
    evidence = [(draw, _asked(subject, check, draw)) for draw in _draws(subject, check, finding)]
    if all(_holds(seen) for _, seen in evidence):
        return
    others = [one for one in by_name.values() if one is not check and one.concerns(subject.entry)
              and one.least in ("quick", check.least)]  # fmt: skip  # what a quick run leaves out takes seconds
    kept: dict[str, list[tuple[Any, bool]]] = {}
    for name, suspect in suspects.items():
        if not suspect.first(subject.entry):
            continue
        made = made_with(suspect.fault)
        if check.lacks(made) or not _reproduces(made, check, evidence, noisy=suspect.noisy):
            continue
        if not suspect.fault.concerns(subject.entry):
            continue
        for other in others:
            if other.name not in kept:
                kept[other.name] = list(_kept(subject, other))
        if all(_keeps(made, other, draw) for other in others for draw, holds in kept[other.name] if holds):
            yield name


def _reproduces(made: Any, check: Check, evidence: Sequence[tuple[Any, Comparison | None]], *, noisy: bool) -> bool:
    """Whether a fault answers all of the evidence as it was seen, and breaks the law on the first case that does."""
    alike, broken = _as_noisy if noisy else _alike, False
    for draw, seen in evidence:
        found = _asked(made, check, draw)
        if not alike(seen, found) or (not broken and not _holds(seen) and _holds(found)):
            return False
        broken |= not _holds(found)
    return broken


def _draws(subject: Any, check: Check, finding: Finding) -> list[Any]:
    """The draws of a finding, in the widest format that the subject serves too, then what its check always asks."""
    given = [decode(text, check.space.plain)[1] for text in (finding.replay, finding.smallest) if text]
    wide = [replace(draw, format=FLOAT64.name) for draw in given if "format" in {f.name for f in fields(draw)}]
    wide = [draw for draw in wide if draw.format in subject.domain.formats]
    own = [check.space.adapt(subject, draw) for draw in (*given, *wide)]
    return list(dict.fromkeys([*own, *islice(check.space.explicit_examples(subject), EXAMPLES)]))


def _asked(subject: Any, check: Check, draw: Any) -> Comparison | None:
    """The comparison of a draw; None if the reference with a fault cannot be asked it."""
    try:
        with quiet():
            return run_case(subject, check, draw)[1]
    except BROKEN:
        return None


def _alike(seen: Comparison | None, made: Comparison | None) -> bool:
    """Whether two comparisons of one case are those of the same answer, but for rounding."""
    if seen is None or made is None:
        return False
    if seen.holds and made.holds and not seen.seeks:
        return True
    if not (math.isfinite(seen.bound_ratio) and math.isfinite(made.bound_ratio)):
        same = seen.bound_ratio == made.bound_ratio and seen.law == made.law
        return same and (seen.observed == made.observed or math.isclose(seen.observed, made.observed, rel_tol=DIGITS))
    return abs(seen.bound_ratio - made.bound_ratio) <= ROUNDED + DIGITS * abs(seen.bound_ratio)


def _as_noisy(seen: Comparison | None, made: Comparison | None) -> bool:
    """Whether two comparisons of one case hold both, or break their law by errors of one size, or without a number."""
    if seen is None or made is None or seen.holds != made.holds:
        return False
    few, many = sorted((seen.bound_ratio, made.bound_ratio))
    return seen.holds or not math.isfinite(many) or many <= NOISE * few


def _holds(found: Comparison | None) -> bool:
    """Whether a law holds, or its counterexample is found, or nothing could be compared."""
    if found is None or not found.compared:
        return True
    return found.bound_ratio >= WITNESS if found.seeks else found.holds


def _kept(subject: Any, check: Check) -> Iterator[tuple[Any, bool]]:
    """The first draws of a check, and whether the subject keeps its law on them."""
    if not check.lacks(subject) and not check.space.unsupported_reason(subject):
        for draw in islice(check.space.explicit_examples(subject), OTHERS):
            yield draw, _holds(_asked(subject, check, draw))


def _keeps(made: Any, check: Check, draw: Any) -> bool:
    return bool(check.lacks(made)) or _holds(_asked(made, check, draw))
