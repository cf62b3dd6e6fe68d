"""How many causes a run names for each known fault, and what it costs beside a right implementation.

`python tests/headlines.py [--effort quick] [--family NAME] [--only NAME]` applies each fault to the reference of the
first kind that can have it, checks it as `pytest --norm` does, and prints for each family the distribution of the
number of causes, the faults whose cause has another name, and the time of failing runs over that of the right one of
the same kind. Each run is a process of its own in which nothing is computed yet, as a user's run is: the reference is
the right implementation here, so a run that finds the answers of an earlier one would only compare them with itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections import Counter
from typing import Any

import hypothesis  # noqa: F401  # imported before a process is forked: the time of imports is not that of a run

from normcheck import families
from normcheck.core.contract import Contract
from normcheck.core.events import outcomes_of
from normcheck.engine.asker import Asker, checks_of
from normcheck.engine.claims import claim
from normcheck.engine.run import bind_events, check_events, convention_events
from normcheck.engine.settings import Settings
from normcheck.engine.verdict import causes, warnings
from normcheck.families import CHECKS


def run(subject: Any, effort: str) -> tuple[list[str], list[str], float]:
    """Names of causes and warnings of a subject, and the seconds of processor time."""
    made = claim((subject.entry.name, "nowhere:reference"), {})
    asker = Asker(Settings(effort))
    asker._binder._bound[made] = subject  # a subject that no target names
    started = time.process_time()
    events = [*bind_events(asker, made), *convention_events(asker, made)]
    for check in checks_of(made, CHECKS, asker.settings):
        events += check_events(asker, made, check)
    seconds = time.process_time() - started
    found = list(outcomes_of(events))
    return [one["name"] for one in causes(found)], [one["name"] for one in warnings(found)], seconds


def in_a_fork(family: Any, entry: Any, fault: Any, effort: str) -> tuple[list[str], list[str], float]:
    """What `run` returns for the reference with a fault, in a process in which no check has run."""
    forks = multiprocessing.get_context("fork")
    receiver, sender = forks.Pipe(duplex=False)

    def answer() -> None:
        sender.send(run(family.faulty(entry, fault, Contract()), effort))

    child = forks.Process(target=answer)
    child.start()
    sender.close()  # so that a child that ends without an answer raises EOFError here
    made: tuple[list[str], list[str], float] = receiver.recv()
    child.join()
    return made


def headlines(name: str, family: Any, effort: str, only: str) -> None:
    """Print a line for each fault of a family, and what they have in common."""
    right: dict[str, float] = {}
    counts: Counter[int] = Counter()
    ratios, other = [], []
    for fault in family.faults.values():
        if only not in fault.name:
            continue
        entry = next(entry for entry in family.entries if fault.concerns(entry))
        if entry.name not in right:
            right[entry.name] = in_a_fork(family, entry, None, effort)[2]
        names, warned, seconds = in_a_fork(family, entry, fault, effort)
        counts[len(names)] += 1
        ratios.append(seconds / right[entry.name])
        if fault.name not in names:
            other.append(fault.name)
        found = f"{', '.join(names) or 'no cause'}; {', '.join(warned) or 'no warning'}"
        print(f"{fault.name} ({entry.name}): {found}; {ratios[-1]:.2f} times the right one's time", flush=True)
    if ratios:
        print(f"{name}: causes: {dict(sorted(counts.items()))}; median of time {statistics.median(ratios):.2f}; "
              f"the name is not among them for {len(other)}: {', '.join(other)}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--effort", default="quick")
    parser.add_argument("--family", default="", choices=("", *families.MODULES))
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    for name, family in zip(families.MODULES, families.FAMILIES, strict=True):
        if options.family in {"", name}:
            headlines(name, family, options.effort, options.only)


if __name__ == "__main__":
    main()
