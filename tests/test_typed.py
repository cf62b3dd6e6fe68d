"""A user's program passes the type checkers that users have, and what is wrong in it is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RIGHT = """
from typing import Any

import normcheck


def seen(event: object) -> None:
    print(event)


def scale(x: Any, weight: Any) -> Any:
    return x * weight


verdict: normcheck.Verdict = normcheck.check(scale, as_="layer_norm", contract={"eps-place": "outside"}, progress=seen)
names: list[str] = [finding.check for finding in verdict.findings]
ok: bool = verdict.ok
cell: str = verdict.row["case_rescaling"]
text: str = verdict.to_json()
verdict.plot().savefig("mine.png")
try:
    verdict.raise_for_findings()
except normcheck.FindingsError as error:
    print(error)


@normcheck.normalizer("rms_norm", contract={"weight": "1+w"})
def mine(x: Any, weight: Any) -> Any:
    return x * weight


def pytest_normcheck_implementations() -> list[normcheck.Implementation]:
    return [normcheck.Implementation("layer_norm", mine)]
"""
WRONG = (
    "normcheck.check(1, efort='quick')",
    "normcheck.check(1).okay",
    "normcheck.checks(1)",
    "normcheck.Implementation(1, 'mine:f')",
    "normcheck.check(1, as_='layer_norm').ok + 'a'",
)


def program(folder: Path) -> str:
    """The right program, and below it each wrong line; its text."""
    text = "\n".join([RIGHT, *WRONG])
    (folder / "program.py").write_text(text)
    return text


def wrong_lines(text: str) -> list[int]:
    """The numbers of the wrong lines, from 1 on."""
    return [number for number, line in enumerate(text.splitlines(), 1) if line in WRONG]


def test_by_mypy(tmp_path: Path) -> None:
    text = program(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary",
         "--cache-dir", str(tmp_path / "cache"),
         "program.py"],
        cwd=tmp_path, env=os.environ | {"MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    refused = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [int(line.split(":")[1]) for line in refused] == wrong_lines(text), done.stdout


def test_by_pyright(tmp_path: Path) -> None:
    found = shutil.which("pyright")
    if found is None or subprocess.run([found, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("no pyright on this machine: pip install pyright, which fetches its program at its first run")
    text = program(tmp_path)
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)], "reportUnusedExpression": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [found, "--outputjson", "--pythonpath", sys.executable, "program.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    said = json.loads(done.stdout)["generalDiagnostics"]
    assert sorted({one["range"]["start"]["line"] + 1 for one in said}) == wrong_lines(text), said
