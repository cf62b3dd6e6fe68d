"""Choose the questions of the smoke effort: a greedy cover of the known faults, by kills for each millisecond.

    python tests/smoke_table.py [--jobs N] [--kills FILE]

A question is a check on one of the examples that it always runs. Candidates are those of the checks that find a fault
according to kill_matrix.txt, without the columns of Table 1, whose "no" needs a witness among many cases, and without
what a right implementation does not pass. Their time is measured on torch's own function or layer, by kind. Writes
normcheck/engine/smoke.txt. --kills: a file for what each question finds, read instead of asking again if it exists.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from test_kill_matrix import asking, found_by

from normcheck import families
from normcheck.core.ask import run_check
from normcheck.core.check import Check
from normcheck.core.claim import Implementation
from normcheck.core.errors import NormcheckError
from normcheck.core.result import FAILED, PASSED
from normcheck.engine import smoke
from normcheck.engine.conditions import run_conditions
from normcheck.engine.self_check import remembered
from normcheck.frameworks.torch_functions import FUNCTIONS
from normcheck.normalizers import catalog, faults

LAYERS = {
    "batch_norm": "torch.nn:BatchNorm2d",
    "layer_norm": "torch.nn:LayerNorm",
    "rms_norm": "torch.nn:RMSNorm",
    "group_norm": "torch.nn:GroupNorm",
    "instance_norm": "torch.nn:InstanceNorm2d",
}
"""Layers on which questions are timed that a function cannot be asked."""

EXAMPLES = 10
"""Most examples of a check that are candidates."""

REPEATS = 3
"""Times that a question is asked; the median is its time."""

LONGEST = 12.0
"""Most milliseconds of a question."""

ENOUGH = 0.985
"""Share of the faults of a kind that is covered."""

Key = tuple[str, int]
"""A question of one kind: the name of a check, and the place of the example among those that it always runs."""


def _examples(subject: Any, check: Check) -> list[Any]:
    return list(islice(check.space.explicit_examples(subject), EXAMPLES))


@lru_cache(maxsize=512)
def _able(kind: str, name: str) -> tuple[Any, ...]:
    """The examples of a check, those that a right implementation does not pass by themselves left out (None)."""
    check, subject = families.CHECKS_BY_NAME[name], faults.subject(families.get(kind))
    some = _examples(subject, check)
    return tuple(one if run_check(subject, remembered(check), [one]).status == PASSED else None for one in some)


def _concerned(kind: str) -> list[str]:
    return [fault.name for fault in faults.concerning(families.get(kind))]


def kills_of(pair: tuple[str, str]) -> list[Key]:
    """The questions that find a fault in a kind."""
    kind, fault = families.get(pair[0]), faults.get(pair[1])
    table, found = {check.name for check in families.of(kind).table}, found_by(fault.name)
    out: list[Key] = []
    for check in asking(kind, fault):
        if check.name in table or check.name not in found or check.least != "quick" or check.cost == math.inf:
            continue
        under = faults.subject(kind, None, fault.under)
        some = _examples(under, check)
        fit = _able(kind.name, check.name) if some == _examples(faults.subject(kind), check) else some
        for i, draw in enumerate(fit):
            if draw is not None:
                subject = faults.subject(kind, fault, fault.under)
                if run_check(subject, remembered(check), [draw]).status == FAILED:
                    out.append((check.name, i))
    return out


def _timed(kind: str) -> Iterator[tuple[Any, bool]]:
    """The subjects on which questions are timed: torch's function, its layer, the reference."""
    for target in (FUNCTIONS.get(kind, ""), LAYERS.get(kind, "")):
        if target:
            try:
                yield families.bind(Implementation(kind, target)), True
            except NormcheckError:
                continue
    yield faults.subject(families.get(kind)), False


def milliseconds(kind: str, asked: set[Key]) -> dict[Key, float]:
    """The time of each question; infinite for one that torch's own function or layer does not pass."""
    out: dict[Key, float] = {}
    with run_conditions():
        for subject, own in _timed(kind):
            for name in sorted({name for name, _ in asked}):
                check = families.CHECKS_BY_NAME[name]
                if check.lacks(subject) or check.space.unsupported_reason(subject):
                    continue
                for i, draw in enumerate(_examples(subject, check)):
                    key = name, i
                    if key not in asked or (key in out and not (own and out[key] < math.inf)):
                        continue
                    times, passed = [], True
                    for _ in range(REPEATS):
                        start = time.process_time()
                        passed &= run_check(subject, check, [draw]).status in (PASSED, "skipped")
                        times.append(1000.0 * (time.process_time() - start))
                    found = statistics.median(times) if passed else math.inf
                    out[key] = max(out.get(key, 0.0), found)
    return out


def cover(kills: Mapping[str, Sequence[Key]], times: Mapping[Key, float]) -> list[tuple[Key, int]]:
    """Questions with the number of faults that each finds first, the one with most of them for its time first.

    kills: by fault. The faults that no question finds in time do not count.
    """
    of: dict[Key, set[str]] = {}
    for fault, some in kills.items():
        for key in some:
            if times.get(key, math.inf) <= LONGEST:
                of.setdefault(key, set()).add(fault)
    left = set().union(*of.values()) if of else set()
    enough = (1.0 - ENOUGH) * len(kills)
    chosen: list[tuple[Key, int]] = []
    while len(left) > enough:
        best = max(of, key=lambda key: (len(of[key] & left) / max(times[key], 0.2), len(of[key] & left), key))
        chosen.append((best, len(of[best] & left)))
        left -= of[best]
    return chosen


def main(jobs: int, path: Path | None) -> None:
    """Ask, time and choose; print what is covered, and write the table."""
    pairs = [(kind, fault) for kind in catalog.ALL for fault in _concerned(kind)]
    if path is not None and path.exists():
        found = [[tuple(key) for key in some] for some in json.loads(path.read_text())]
    else:
        with ProcessPoolExecutor(jobs) as pool:
            found = list(pool.map(kills_of, pairs, chunksize=4))
        if path is not None:
            path.write_text(json.dumps(found))
    lines = []
    for kind in catalog.ALL:
        kills = {fault: some for (of, fault), some in zip(pairs, found, strict=True) if of == kind}
        times = milliseconds(kind, {key for some in kills.values() for key in some})
        chosen = cover(kills, times)
        lines += [f"{kind} {name} {i} {times[name, i]:.1f} {count}" for (name, i), count in chosen]
        total, number = sum(times[key] for key, _ in chosen), sum(count for _, count in chosen)
        print(f"{kind}: {len(chosen)} questions, {total:.0f} ms, {number} of {len(kills)} faults")
    smoke.TABLE.write_text(smoke.HEADER + "".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kills", type=Path)
    given = parser.parse_args()
    main(given.jobs, given.kills)
