"""Processor time of one check of torch's own implementations, beyond importing torch, at an effort.

    python tests/benchmarks/effort_times.py [EFFORT] [REPEATS]

Each is checked in a forked copy of a process that has imported torch and normcheck, so that none profits from what
another has left. Prints, by kind, the least of several: what is shared is the import of normcheck, printed apart.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

import torch  # noqa: F401  # its import is no part of what is measured

START = time.process_time()
from normcheck.engine import claims, run  # noqa: E402
from normcheck.engine.settings import Settings  # noqa: E402
from normcheck.frameworks.torch_functions import FUNCTIONS  # noqa: E402

IMPORT = time.process_time() - START


def seconds(kind: str, effort: str) -> float:
    """Processor time of a check in a copy of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        start = time.process_time()
        for _ in run.events([claims.claim((kind, FUNCTIONS[kind]), {})], Settings(effort)):
            pass
        os.write(writer, repr(time.process_time() - start).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        taken = float(pipe.read())
    os.waitpid(child, 0)
    return taken


def main(effort: str, repeats: int) -> None:
    print(f"importing normcheck after torch: {IMPORT:.2f} s")
    found = {kind: min(seconds(kind, effort) for _ in range(repeats)) for kind in FUNCTIONS}
    for kind, taken in found.items():
        print(f"{kind} {effort}: {taken:.2f} s")
    print(f"median: {statistics.median(found.values()):.2f} s")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "smoke", int(sys.argv[2]) if len(sys.argv) > 2 else 3)
