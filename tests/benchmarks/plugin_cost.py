"""What the plugin costs a project that names no implementation: processor time of `pytest --co -q` with and without it.

python tests/benchmarks/plugin_cost.py [PAIRS]

Runs in the environment of the interpreter, in which normcheck is installed, on a new project with one test. Every pair
is one run with the plugin and one without it, in alternating order, so that both have the same load of the machine.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PAIRS = 40
LIMIT = 15.0
"""Milliseconds that importing the plugin may cost."""

WITHOUT = ("-p", "no:normcheck")


def _seconds(project: Path, *options: str) -> float:
    """Processor time, user and system, of collecting the tests of a project."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "--co", "-q", *options]
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(pairs: int) -> None:
    """Print the median of the paired differences, the difference of the least times, and the ratio of the medians."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "test_one.py").write_text("def test_one():\n    pass\n")
        for options in ((), WITHOUT):  # bytecode is written in the first run
            _seconds(project, *options)
        found: dict[tuple[str, ...], list[float]] = {(): [], WITHOUT: []}
        for i in range(pairs):
            for options in ((), WITHOUT) if i % 2 else (WITHOUT, ()):
                found[options].append(1000.0 * _seconds(project, *options))
    with_plugin, without = found[()], found[WITHOUT]
    differences = [one - other for one, other in zip(with_plugin, without, strict=True)]
    medians = statistics.median(with_plugin), statistics.median(without)
    print(f"{pairs} pairs; with the plugin {medians[0]:.1f} ms, without it {medians[1]:.1f} ms (medians)")
    print(f"median of the differences {statistics.median(differences):.1f} ms; at most {LIMIT:g} ms are allowed")
    print(f"difference of the least times {min(with_plugin) - min(without):.1f} ms")
    print(f"ratio of the medians {medians[0] / medians[1]:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
