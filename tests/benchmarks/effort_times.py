"""Processor time of one check of torch's own implementations, beyond importing torch, at an effort.

    python tests/benchmarks/effort_times.py [EFFORT] [REPEATS]

Each is checked in a forked copy of a process that has imported torch and normcheck, so that none profits from what
another has left. Prints, by kind, the least of several. Two times are printed apart: the import of normcheck, and that
of the modules of torch that torch itself imports in the first forward-mode derivative and the first checkpoint.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch  # noqa: F401  # its import is no part of what is measured

START = time.process_time()
from forked import checked, seconds, torch_imports  # noqa: E402

from normcheck.frameworks.torch_functions import FUNCTIONS  # noqa: E402

IMPORT = time.process_time() - START


def main(effort: str, repeats: int) -> None:
    print(f"importing normcheck after torch: {IMPORT:.2f} s")
    print(f"importing what torch imports in its first forward-mode derivative and checkpoint: {torch_imports():.2f} s")
    found = {kind: min(seconds(lambda: checked(kind, effort)) for _ in range(repeats)) for kind in FUNCTIONS}  # noqa: B023
    for kind, taken in found.items():
        print(f"{kind} {effort}: {taken:.2f} s")
    print(f"median: {statistics.median(found.values()):.2f} s")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "smoke", int(sys.argv[2]) if len(sys.argv) > 2 else 3)
