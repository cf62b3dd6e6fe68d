"""Ask every check of all correct code on many random seeds: a broken law is a false alarm.

    python tests/false_alarms.py --seeds 200 --state alarms.jsonl

Prints every alarm with its case, the largest share of a bound that each check saw, and what was asked; exits with 1 if
there was an alarm. What is done is kept in the state file, a line for each implementation: a run that was cut off goes
on from there. --only and --shard split a run among processes, each with a state file of its own; --first goes on with
other seeds. --write keeps the hardest cases of all state files in tests/slack.txt, where tests/test_slack.py asks them
again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import astuple
from itertools import chain
from pathlib import Path
from typing import Any

from sound_code import SLACK, Used, ask, implementations, questions, random_draws, short, surrounded

from normcheck.core.claim import Implementation
from normcheck.families import CHECKS
from normcheck.families import bind as subject
from normcheck.frameworks.torch.tensors import one_thread


def measured(implementation: Implementation, seeds: range) -> dict[str, Any]:
    """Every check of one implementation: a random case for each seed, and with the first what is always asked."""
    started, cases, hard, alarms = time.perf_counter(), 0, {}, []
    bound = subject(implementation)
    for one, check in questions(bound):
        always = () if seeds.start else check.space.explicit_examples(one)
        answer = ask(one, check, chain(always, random_draws(one, check, seeds)))
        cases += answer.cases
        hard[check.name] = list(astuple(answer.used))
        if answer.alarm is not None:
            alarms.append(f"{answer.alarm.law}: {answer.alarm.replay}")
    return {
        "kind": implementation.kind, "target": short(implementation), "seeds": [seeds.start, seeds.stop],
        "cases": cases, "seconds": round(time.perf_counter() - started, 1), "hard": hard, "alarms": alarms,
    }  # fmt: skip


def read(states: Iterable[Path]) -> list[dict[str, Any]]:
    """What is done, of every state file that exists."""
    return [json.loads(line) for path in states if path.exists() for line in path.read_text().splitlines()]


def key(kind: str, target: str, seeds: range) -> tuple[str, str, int, int]:
    return kind, target, seeds.start, seeds.stop


def part(text: str) -> slice:
    """Every Nth from the Ith on: "I/N", counted from 1."""
    i, n = map(int, text.split("/"))
    if not 1 <= i <= n:
        raise argparse.ArgumentTypeError(f"{text}: give I/N with I from 1 to N")
    return slice(i - 1, None, n)


def worst(lines: Iterable[dict[str, Any]]) -> dict[tuple[str, str], tuple[Used, str]]:
    """By check and kind: what is used at most, and by whom."""
    out: dict[tuple[str, str], tuple[Used, str]] = {}
    for line in lines:
        for check, values in line["hard"].items():
            used, place = Used(*values), (check, line["kind"])
            if used.bound_ratio >= 0.0 and (place not in out or used.bound_ratio > out[place][0].bound_ratio):
                out[place] = used, line["target"]
    return out


def write(lines: Iterable[dict[str, Any]]) -> None:
    """The hardest cases, in the order of the checks."""
    found = worst(lines)
    order = {check.name: i for i, check in enumerate(CHECKS)}
    rows = [
        f"{used.words()} {kind} {target} {used.replay}"
        for (_, kind), (used, target) in sorted(found.items(), key=lambda item: (order[item[0][0]], item[0][1]))
    ]
    SLACK.write_text("\n".join(rows) + "\n")


def report(lines: list[dict[str, Any]]) -> int:
    """Print what the state files say; the number of alarms."""
    top: dict[str, Used] = {}
    for (check, _), (used, _) in worst(lines).items():
        top[check] = max(top.get(check, used), used, key=lambda one: one.bound_ratio)
    for check, used in top.items():
        print(f"{check:<45}{used.words()}")
    alarms = [f"ALARM {line['kind']}={line['target']}: {alarm}" for line in lines for alarm in line["alarms"]]
    asked = {(line["kind"], line["target"], check) for line in lines for check in line["hard"]}
    print(*alarms, sep="\n")
    print(
        f"{len(alarms)} alarms; {len({one[:2] for one in asked})} implementations, {len(asked)} questions, "
        f"{sum(line['cases'] for line in lines)} cases"
    )
    return len(alarms)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="", help="part of KIND=TARGET")
    parser.add_argument("--shard", type=part, default=slice(None), help="I/N: every Nth implementation from the Ith on")
    parser.add_argument("--state", type=Path, nargs="+", default=[Path("false_alarms.jsonl")], help="the first is kept")
    parser.add_argument("--write", action="store_true", help="keep the hardest cases in tests/slack.txt")
    parser.add_argument("--forms", action="store_true", help="right code of the forms, and not what --write keeps")
    options = parser.parse_args()
    if options.forms and options.write:
        parser.error("the hardest cases of forms are not kept: leave out --write")
    seeds = range(options.first, options.first + options.seeds)
    done = {key(line["kind"], line["target"], range(*line["seeds"])) for line in read(options.state)}
    for implementation in (surrounded() if options.forms else implementations())[options.shard]:
        name = f"{implementation.kind}={short(implementation)}"
        if options.only in name and key(implementation.kind, short(implementation), seeds) not in done:
            line = measured(implementation, seeds)
            with options.state[0].open("a") as file:
                file.write(json.dumps(line) + "\n")
            print("\n".join([f"{name}: {line['cases']} cases, {line['seconds']} s", *line["alarms"]]), flush=True)
    lines = read(options.state)
    if options.write:
        write(lines)
    return int(report(lines) > 0)


if __name__ == "__main__":
    with one_thread():
        sys.exit(main())
