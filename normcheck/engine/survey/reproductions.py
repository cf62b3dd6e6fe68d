"""The findings of a survey as scripts: what each prints without normcheck, and whether it is as reported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

REPRODUCED = 3
"""The exit status of a script whose difference is larger than what is allowed. An exception of Python ends with 1."""

MENDED, NO_SCRIPT, FAILED_TO_RUN, AS_REPORTED = "not reproduced", "no script", "does not run", "reproduced"
"""What can be said of a finding whose script was run, or that has none."""

SECONDS = 120.0
"""Wall-clock time of one script, most of which is the import of the library."""

WITHOUT = "import sys; sys.modules['normcheck'] = None; exec(sys.stdin.read())"
"""Runs a script in which normcheck cannot be imported."""


def reproductions(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The script of each cause of a record: that of its first finding which has one, on the most ordinary input."""
    found = []
    for cause in record["causes"]:
        own = [one for one in record["findings"] if cause["name"] in str(one.get("cause", "")).split("+")]
        shown = next((one for one in (*own, cause["finding"]) if one.get("script")), cause["finding"])
        script = list(standalone(shown.get("script", ())))
        found.append({"cause": cause["name"], "law": shown["law"], "script": script})
    return found


def standalone(script: Sequence[str]) -> tuple[str, ...]:
    """A script of a finding that also prints what is allowed, and whose exit status says whether it is as reported.

    >>> standalone(["y = 2.0", "print(y)  # 2; allowed 0.5"])
    ('y = 2.0', 'found = float(y)', "print(found, 'allowed', 0.5)", 'raise SystemExit(0 if found <= 0.5 else 3)')
    """
    *lines, last = script or [""]
    shown, _, allowed = last.rpartition("; allowed ")
    expression = shown.rpartition("  # ")[0].removeprefix("print(").removesuffix(")")
    if not expression:
        return ()
    end = (f"found = float({expression})", f"print(found, 'allowed', {allowed})")
    return (*lines, *end, f"raise SystemExit(0 if found <= {allowed} else {REPRODUCED})")


def verified(document: Mapping[str, Any], tell: Callable[[str], object]) -> dict[str, Any]:
    """The document of a survey with what the script of each finding has shown, run in this environment."""
    libraries = [
        {**library, "normalizers": [_verified(row, tell) for row in library["normalizers"]]}
        for library in document["libraries"]
    ]
    return {**document, "libraries": libraries}


def unlike(document: Mapping[str, Any]) -> list[str]:
    """The targets and causes whose scripts were run and show something else than was reported."""
    return [
        f"{row['target']}: {one['cause']}: {one['shown']}"
        for library in document["libraries"] for row in library["normalizers"]
        for one in row.get("reproductions", ()) if one.get("shown") in (MENDED, FAILED_TO_RUN)
    ]  # fmt: skip


def _verified(row: Mapping[str, Any], tell: Callable[[str], object]) -> dict[str, Any]:
    if not row.get("reproductions"):
        return dict(row)
    return {**row, "reproductions": list(_run(row["target"], row["reproductions"], tell))}


def _run(target: str, scripts: Sequence[Mapping[str, Any]], tell: Callable[[str], object]) -> Iterator[dict[str, Any]]:
    for one in scripts:
        shown, printed = run(one["script"]) if one["script"] else (NO_SCRIPT, "")
        tell(f"{target}: {one['cause']}: {shown}" + (f", {printed}" if printed else ""))
        yield {**one, "shown": shown, "printed": printed}


def run(script: Sequence[str]) -> tuple[str, str]:
    """What a script shows, and the last line that it prints, run in an interpreter that cannot import normcheck."""
    command = [sys.executable, "-P", "-c", WITHOUT]
    try:
        done = subprocess.run(  # noqa: S603  # what it runs, the survey has written
            command, input="\n".join(script), capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return FAILED_TO_RUN, f"no end within {SECONDS:g} s"
    said = (done.stdout if done.returncode in (0, REPRODUCED) else done.stderr).strip().splitlines()
    shown = {0: MENDED, REPRODUCED: AS_REPORTED}.get(done.returncode, FAILED_TO_RUN)
    return shown, said[-1] if said else f"exit status {done.returncode}"
