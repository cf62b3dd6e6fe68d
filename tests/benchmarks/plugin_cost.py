"""What the plugin costs a project that names no implementation: processor time of `pytest --co -q` with and without it.

python tests/benchmarks/plugin_cost.py [PAIRS]

Runs in the environment of the interpreter, in which normcheck is installed, on a new project with one test. Every pair
is one run with the plugin and one without it, in alternating order, so that both have the same load of the machine.
A run is a forked copy of a process that has imported pytest and its other plugins: their import is no cost of the
plugin, and on a busy machine it varies by more than the plugin costs.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pytest

PAIRS = 100
LIMIT = 15.0
"""Milliseconds that the plugin may cost."""

WITHOUT = ("-p", "no:normcheck")


def _milliseconds(*options: str) -> float:
    """Processor time, user and system, of collecting the tests of the project in the working folder."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        start = time.process_time()
        status = pytest.main(["--co", "-q", *options])
        os.write(writer, repr(1000.0 * (time.process_time() - start)).encode())
        os._exit(int(status))
    os.close(writer)
    with os.fdopen(reader) as pipe:
        taken = float(pipe.read())
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise SystemExit("pytest --co -q failed; run it by hand in a new folder with one test")
    return taken


def main(pairs: int) -> None:
    """Print the median of the paired differences, the difference of the least times, and the ratio of the medians."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("test_one.py").write_text("def test_one():\n    pass\n")
        _milliseconds()  # bytecode is written in the first run
        pytest.main(["--co", "-q", *WITHOUT])
        loaded = [name for name in sys.modules if name.split(".")[0] == "normcheck"]
        if len(loaded) > 1:
            raise SystemExit(f"imported without the plugin: {', '.join(sorted(loaded))}")
        found: dict[tuple[str, ...], list[float]] = {(): [], WITHOUT: []}
        for i in range(pairs):
            for options in ((), WITHOUT) if i % 2 else (WITHOUT, ()):
                found[options].append(_milliseconds(*options))
        os.chdir("/")
    with_plugin, without = found[()], found[WITHOUT]
    differences = [one - other for one, other in zip(with_plugin, without, strict=True)]
    medians = statistics.median(with_plugin), statistics.median(without)
    print(f"{pairs} pairs; with the plugin {medians[0]:.1f} ms, without it {medians[1]:.1f} ms (medians)")
    print(f"median of the differences {statistics.median(differences):.1f} ms; at most {LIMIT:g} ms are allowed")
    print(f"difference of the least times {min(with_plugin) - min(without):.1f} ms")
    print(f"ratio of the medians {medians[0] / medians[1]:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
