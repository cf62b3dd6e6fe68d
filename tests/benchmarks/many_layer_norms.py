"""Judge generated layer norms in batch mode, and compare a random sample of the verdicts with runs by themselves.

    python tests/benchmarks/many_layer_norms.py [--count 500] [--jobs 2] [--effort smoke] [--sample 10]

Prints the time of all, how many were found wrong, and every verdict of the sample that differs; exits with 1 for one.
A run by itself is one of `normcheck check` with that line only.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from generated import sources

COMPARED = ("verdict", "diagnosis", "causes", "findings", "warnings", "formats", "checks", "compared", "errors")
"""What must be equal; times are not."""


def answers(lines: list[dict[str, Any]], jobs: int, folder: Path) -> dict[str, dict[str, Any]]:
    """What `normcheck check --many` answers to lines, by id."""
    file = folder / "lines.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    command = (sys.executable, "-m", "normcheck", "check", "--many", str(file), "--jobs", str(jobs))
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    print(found.stderr.strip().splitlines()[-1])
    return {one["id"]: one for one in map(json.loads, found.stdout.splitlines())}


def plain(answer: dict[str, Any], name: str) -> str:
    """What is compared of an answer; the temporary folder of its code has another name in each run."""
    text = json.dumps({key: answer[key] for key in COMPARED}, sort_keys=True)
    folder = str(Path(answer["target"].rpartition(":")[0]).parent)
    return text.replace(folder, name)


def main(count: int, jobs: int, effort: str, sample: int) -> int:
    """Print the time and the differences. Returns the exit status."""
    lines = [
        {"id": name, "kind": "layer_norm", "source": text, "effort": effort} for name, text in sources(count).items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = answers(lines, jobs, Path(folder))
        taken = time.perf_counter() - start
        wrong = sum(one["verdict"] != "passed" for one in found.values())
        print(f"{len(found)} of {len(lines)} judged in {taken:.0f} s at {effort}; {wrong} are not right")
        print(f"passed: {', '.join(sorted(name for name, one in found.items() if one['verdict'] == 'passed'))}")
        different = 0
        for line in random.Random(0).sample(lines, min(sample, len(lines))):
            alone = answers([line], 1, Path(folder))[line["id"]]
            if plain(alone, "") != plain(found[line["id"]], ""):
                different += 1
                print(f"differs: {line['id']}: {alone['verdict']} {alone['diagnosis']}")
    print(f"{different} of {sample} verdicts differ from those of runs by themselves")
    return int(bool(different) or len(found) != len(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--effort", default="smoke")
    parser.add_argument("--sample", type=int, default=10)
    given = parser.parse_args()
    sys.exit(main(given.count, given.jobs, given.effort, given.sample))
