"""A run as a code-quality report of GitLab: one entry for each problem that fails the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from normcheck.report.problems import ERROR, problems


def text(run: Mapping[str, Any], path: Path, root: Path) -> str:
    """The document; an empty list if nothing is wrong."""
    entries = [
        {
            "description": f"{one.title}: {one.law}",
            "check_name": one.check,
            "fingerprint": one.fingerprint,
            "severity": "critical" if one.check == ERROR else "major",
            "location": {"path": one.place.path, "lines": {"begin": one.place.line}},
        }
        for one in problems(run, root)
        if not one.accepted
    ]
    return json.dumps(entries, indent=1) + "\n"
