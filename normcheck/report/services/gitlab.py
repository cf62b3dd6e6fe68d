"""A run as a code-quality report of GitLab: one entry for each cause, error and warning that is not accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from normcheck.report.services.problems import ERROR, KNOWN, WARNS, Problem, problems


def text(run: Mapping[str, Any], path: Path, root: Path) -> str:
    """The document; an empty list if nothing is wrong."""
    entries = [
        {
            "description": f"{one.title}: {one.summary}",
            "check_name": one.rule,
            "fingerprint": one.fingerprint,
            "severity": _severity(one),
            "location": {"path": one.place.path, "lines": {"begin": one.place.line}},
        }
        for one in problems(run, root)
        if one.level != KNOWN
    ]
    return json.dumps(entries, indent=1) + "\n"


def _severity(one: Problem) -> str:
    if one.rule == ERROR:
        return "critical"
    return "minor" if one.level == WARNS else "major"
