"""Judge code written by strangers: which wrong pieces pass, which right ones fail, which mistakes get another name.

    python tests/strangers.py --effort quick --family whitening Cholesky

Each piece of `tests/user_code/strangers` is checked once, all in this process. WORDS select pieces whose target
contains one of them, --family those of one family ("normalizers" for the main one). Prints a table by family and a line
for each piece that is not judged as its list says; --state keeps what is done in a file, and goes on from there. Exits
with 1 if there was such a piece.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import normcheck
from normcheck.families import ENTRIES, FAULTS

HERE = Path(__file__).parent / "user_code" / "strangers"
LONGEST = 600
"""Seconds after which a piece is given up."""

EFFORTS = ("quick", "default")
COLUMNS = ("family", "wrong found", "first name right", "right passed")

Piece = dict[str, Any]


def pieces() -> Iterator[Piece]:
    """All pieces of both lists, each with the folder that it is in."""
    for folder in ("wrong", "right"):
        for one in json.loads((HERE / f"{folder}.json").read_text(encoding="utf-8")):
            yield {**one, "folder": folder}


def family(one: Piece) -> str:
    """The folder of the family whose entry the kind is."""
    room = type(ENTRIES[one["kind"]]).__module__.split(".")
    return room[2] if room[1] == "families" else room[1]


def name(one: Piece) -> str:
    return f"{one['folder']}/{one['target']}"


@contextmanager
def bounded(seconds: int) -> Iterator[None]:
    """Raises `TimeoutError` after so many seconds; settings of numpy and warnings are as before at the end."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before, errors = signal.signal(signal.SIGALRM, stop), np.geterr()
    signal.alarm(seconds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        np.seterr(**errors)


def judged(one: Piece, effort: str) -> Piece:
    """What normcheck reports of a piece: whether it passes, the causes in their order, the checks that fail."""
    started = time.perf_counter()
    out: Piece = {"name": name(one), "effort": effort, "ok": False, "causes": [], "checks": [], "error": ""}
    try:
        with bounded(LONGEST):
            target = str(HERE / one["folder"] / one["target"])
            verdict = normcheck.check(target, as_=one["kind"], contract=one.get("contract"), effort=effort)
        out |= {
            "ok": verdict.ok,
            "causes": [cause["name"] for cause in verdict.causes],
            "checks": [finding.check for finding in verdict.findings],
            "error": "; ".join(verdict.errors),
            "warnings": [warning["name"] for warning in verdict.warnings],
        }
    except (normcheck.UsageError, normcheck.CallError) as refused:
        out["refused"] = " ".join(str(refused).split())
    except Exception as broken:
        out["error"] = f"{type(broken).__name__}: {' '.join(str(broken).split())}"
    return out | {"seconds": round(time.perf_counter() - started, 1)}


def found(said: Piece) -> bool:
    """Whether a piece is reported as wrong for what it does; neither a refusal nor an error of ours is a finding."""
    return not said["ok"] and bool(said["checks"])


def named(one: Piece, said: Piece) -> bool:
    """Whether the first cause is one of those that the list accepts."""
    return bool(said["causes"]) and said["causes"][0] in one["causes"]


def miss(one: Piece, said: Piece) -> str:
    """One line on what the verdict has otherwise than the list, empty if nothing."""
    if said["error"]:
        return f"internal error: {said['error'][:200]}"
    if said.get("refused"):
        return f"refused: {said['refused'][:200]}"
    causes, checks = ", ".join(said["causes"][:3]), ", ".join(said["checks"][:4])
    if one["folder"] == "right":
        return "" if said["ok"] else f"failed though right: {checks} ({causes})"
    if not found(said):
        return f"passed though wrong: {one['mistake']}"
    if not named(one, said) and (one["causes"] or said["causes"][0] in FAULTS):
        return f"cause named {causes} by {checks}, expected {' or '.join(one['causes']) or 'no known fault'}"
    return ""


def share(answers: list[bool]) -> str:
    return f"{sum(answers)} of {len(answers)}" if answers else "-"


def table(done: list[tuple[Piece, Piece]]) -> Iterator[str]:
    """A row for each family and one for all: what was found, what of that named, and what passed."""
    rows = [COLUMNS]
    for group in [*dict.fromkeys(family(one) for one, _ in done), "all"]:
        own = [(one, said) for one, said in done if group in (family(one), "all")]
        wrong = [(one, said) for one, said in own if one["folder"] == "wrong"]
        rows.append((
            group,
            share([found(said) for _, said in wrong]),
            share([named(one, said) for one, said in wrong if one["causes"] and found(said)]),
            share([said["ok"] for one, said in own if one["folder"] == "right"]),
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield from ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--effort", choices=EFFORTS, default=EFFORTS[0])
    parser.add_argument("--family")
    parser.add_argument("--state", type=Path)
    options = parser.parse_args(arguments)
    chosen = [
        one
        for one in pieces()
        if options.family in (None, family(one))
        and (not options.words or any(word in name(one) for word in options.words))
    ]
    lines = options.state.read_text(encoding="utf-8").splitlines() if options.state and options.state.exists() else []
    known = {(said["name"], said["effort"]): said for said in map(json.loads, lines)}
    done = []
    for one in chosen:
        said = known.get((name(one), options.effort))
        if said is None:
            said = judged(one, options.effort)
            print(f"{said['seconds']:6.1f} s  {said['name']}", file=sys.stderr, flush=True)
            if options.state:
                with options.state.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(said) + "\n")
        done.append((one, said))
    misses = [(one, said) for one, said in done if miss(one, said)]
    print("\n".join(table(done)), end="\n\n" if misses else "\n")
    for one, said in misses:
        print(f"{name(one)} ({one['kind']}): {miss(one, said)}")
    return bool(misses)


if __name__ == "__main__":
    sys.exit(main())
