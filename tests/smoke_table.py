"""Choose the questions of the smoke effort: a greedy cover of the known faults, by kills for each millisecond.

    python tests/smoke_table.py [--jobs N] [--measured FILE]

A question is a check on one of the examples that it always runs. Candidates are those of the checks that find a fault
according to kill_matrix.txt, without a "no" of Table 1, whose witness is sought among many cases, and without what a
right implementation does not pass. Their time is measured on torch's own function or layer, by kind. Writes
normcheck/engine/smoke.txt. --measured: a file for what each question finds and takes, read instead of measured again
if it exists.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from test_kill_matrix import asking, found_by

from normcheck import families
from normcheck.core.ask import run_case, run_check
from normcheck.core.check import Check
from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract
from normcheck.core.errors import NormcheckError
from normcheck.core.result import PASSED, SKIPPED
from normcheck.engine import smoke
from normcheck.engine.conditions import run_conditions
from normcheck.engine.self_check import finds, remembered
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

FIRST, MOST = 10, 240
"""Examples of a check that are candidates; the second, and checks that begin at default, where no other finds it."""

SECONDS = 0.15
"""Most seconds of a candidate on the reference."""

REPEATS = 3
"""Times that a question is asked; the least is its time."""

IMPORTED = 10
"""Most modules that a check may import: parts of torch that it imports late take seconds."""

LONGEST = 25.0
"""Most milliseconds of a question."""

LEAST = 0.2
"""Milliseconds that every question is taken to have."""

ENOUGH = 1.0
"""Share of the faults of a kind that is covered."""

Key = tuple[str, int]
"""A question of one kind: the name of a check, and the place of the example among those that it always runs."""


def _examples(subject: Any, check: Check, most: int) -> list[Any]:
    return list(islice(check.space.explicit_examples(subject), most))


def _passes(subject: Any, check: Check, draw: Any) -> bool:
    """Whether right code passes a question, in time. A "no" is none: its witness is sought among many cases."""
    start = time.process_time()
    _, found = run_case(subject, check, draw)
    passed = found.holds and found.compared > 0 and not found.seeks
    return passed and time.process_time() - start < SECONDS


@lru_cache(maxsize=4096)
def _fit(kind: str, name: str, most: int, under: Contract) -> tuple[tuple[int, Any], ...]:
    """The examples of a check that right code passes, with their places."""
    check, subject = families.CHECKS_BY_NAME[name], faults.subject(families.get(kind), None, under)
    some = enumerate(_examples(subject, check, most))
    return tuple((i, draw) for i, draw in some if _passes(subject, remembered(check), draw))


def _concerned(kind: str) -> list[str]:
    return [fault.name for fault in faults.concerning(families.get(kind))]


def kills_of(pair: tuple[str, str]) -> list[Key]:
    """The questions that find a fault in a kind."""
    return _kills(*pair, FIRST) or _kills(*pair, MOST)


def _kills(of: str, name: str, most: int) -> list[Key]:
    kind, fault = families.get(of), faults.get(name)
    found = found_by(fault.name)
    out: list[Key] = []
    for check in asking(kind, fault):
        late = check.least == "deep" or (check.least == "default" and most == FIRST)
        if check.name not in found or late:
            continue
        for i, draw in _fit(of, check.name, most, fault.under):
            subject = faults.subject(kind, fault, fault.under)
            if finds(subject, remembered(check), [draw]):
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
    """The time of each question; infinite for one that torch's own function or layer does not pass.

    It is asked in a forked process, so that each check imports what it needs: one that imports much is none of them.
    """
    out: dict[Key, float] = {}
    with run_conditions():
        for subject, own in _timed(kind):
            for name in sorted({name for name, _ in asked}):
                check = families.CHECKS_BY_NAME[name]
                if check.lacks(subject) or check.space.unsupported_reason(subject):
                    continue
                missing = {i for of, i in asked if of == name and (own or (name, i) not in out)}
                for i, taken in _forked(partial(_times, subject, check, missing)) if missing else ():
                    out[name, i] = max(out.get((name, i), 0.0), taken)
    return out


def _forked(function: Callable[[], list[tuple[int, float]]]) -> list[tuple[int, float]]:
    """What a function returns in a copy of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, json.dumps(function()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        found = [(i, taken) for i, taken in json.load(pipe)]
    os.waitpid(child, 0)
    return found


def _times(subject: Any, check: Check, places: set[int]) -> list[tuple[int, float]]:
    """Milliseconds of some examples of a check, each the least of several."""
    out: list[tuple[int, float]] = []
    before = len(sys.modules)
    for i, draw in enumerate(_examples(subject, check, MOST)):
        if i in places:
            times, passed = [], True
            for _ in range(REPEATS):
                start = time.process_time()
                passed &= run_check(subject, check, [draw]).status in (PASSED, SKIPPED)
                times.append(1000.0 * (time.process_time() - start))
            imported = len(sys.modules) - before
            out.append((i, min(times) if passed and imported <= IMPORTED else math.inf))
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
    beyond = len(left) - ENOUGH * len(kills)  # faults that need not be covered
    chosen: list[tuple[Key, int]] = []
    while left and len(left) > beyond:
        best = max(of, key=lambda key: (len(of[key] & left) / max(times[key], LEAST), len(of[key] & left), key))
        chosen.append((best, len(of[best] & left)))
        left -= of[best]
    return chosen


def found_first(kind: str, questions: Sequence[Key]) -> list[int]:
    """How many faults each question finds that no earlier one finds."""
    entry, found = families.get(kind), [0] * len(questions)
    for fault in faults.concerning(entry):
        able = {check.name for check in asking(entry, fault)} & found_by(fault.name)
        for place, (name, example) in enumerate(questions):
            check, subject = families.CHECKS_BY_NAME[name], faults.subject(entry, fault, fault.under)
            some = _examples(subject, check, example + 1)[example:] if name in able else []
            if some and finds(subject, remembered(check), some):
                found[place] += 1
                break
    return found


def measured(jobs: int, path: Path | None) -> dict[str, Any]:
    """What each question finds, by kind and fault, and its milliseconds, by kind."""
    if path is not None and path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    pairs = [(kind, fault) for kind in catalog.ALL for fault in _concerned(kind)]
    kills: dict[str, dict[str, list[Key]]] = {kind: {} for kind in catalog.ALL}
    with ProcessPoolExecutor(jobs) as pool:
        for (kind, fault), some in zip(pairs, pool.map(kills_of, pairs, chunksize=4), strict=True):
            kills[kind][fault] = some
    times = {}
    for kind, by_fault in kills.items():
        taken = milliseconds(kind, {key for some in by_fault.values() for key in some})
        times[kind] = [[*key, one] for key, one in taken.items()]
    out = {"kills": kills, "times": times}
    if path is not None:
        path.write_text(json.dumps(out))
    return out


def main(jobs: int, path: Path | None) -> None:
    """Measure and choose; print what is covered, and write the table."""
    all_of_them = measured(jobs, path)
    lines = []
    for kind in catalog.ALL:
        kills = {fault: [(name, i) for name, i in some] for fault, some in all_of_them["kills"][kind].items()}
        times = {(name, i): taken for name, i, taken in all_of_them["times"][kind]}
        questions = [key for key, _ in cover(kills, times)]
        counts = found_first(kind, questions)  # an example beyond the first finds more than was asked of it
        chosen = sorted(
            ((key, count) for key, count in zip(questions, counts, strict=True) if count),
            key=lambda one: -one[1] / max(times[one[0]], LEAST),
        )
        counts = found_first(kind, [key for key, _ in chosen])
        lines += [
            f"{kind} {name} {i} {times[name, i]:.1f} {count}"
            for ((name, i), _), count in zip(chosen, counts, strict=True)
        ]
        total = sum(times[key] for key, _ in chosen)
        print(f"{kind}: {len(chosen)} questions, {total:.0f} ms, {sum(counts)} of {len(kills)} faults", flush=True)
    smoke.TABLE.write_text(smoke.HEADER + "".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--measured", type=Path)
    given = parser.parse_args()
    main(given.jobs, given.measured)
