"""Some of the injections of `killed_runs.py`, one of each way."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_a_killed_run_loses_nothing_and_claims_nothing() -> None:
    command = [sys.executable, str(Path(__file__).parent / "killed_runs.py"), "--injections", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^10 injections at \d{2} events: ", done.stdout, re.MULTILINE)
    assert len(re.findall(r"\b1 ", done.stdout)) >= 10
    assert re.search(r"\d resumed; 0 faults", done.stdout)
