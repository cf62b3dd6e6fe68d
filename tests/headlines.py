"""How many causes a run names for each known fault, and what it costs beside a right implementation.

`python tests/headlines.py [--effort quick] [--family NAME] [--only NAME]` applies each fault to the reference of the
first kind that can have it, checks it as `pytest --norm` does, and prints for each family the distribution of the
number of causes, the faults whose cause has another name, and the time of failing runs over that of the right one of
the same kind.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from typing import Any

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
            run(family.faulty(entry, None, Contract()), effort)  # fills what is computed once
            right[entry.name] = run(family.faulty(entry, None, Contract()), effort)[2]
        names, warned, seconds = run(family.faulty(entry, fault, Contract()), effort)
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
