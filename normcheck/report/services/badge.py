"""A run as a badge: an SVG picture for a file named .svg, else the JSON that the endpoint badge of shields.io reads."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from normcheck.report.completeness import INCOMPLETE

LABEL = "normcheck"
COLORS = {"passed": "#256f3a", "failed": "#b3261e", INCOMPLETE: "#5f6368"}
CHARACTER = 6.6
"""Mean width of a character in pixels, at the badge's font size."""


def summary(run: Mapping[str, Any]) -> tuple[str, str]:
    """The text of the badge, and the word for its color: "passed", "failed" or "incomplete".

    A run without implementations is "failed".
    """
    counts = Counter(str(one["verdict"]) for one in run["implementations"])
    total = counts.total()
    if total and counts["passed"] == total:
        if run.get("complete", True):
            return f"{total} passed", "passed"
        return INCOMPLETE, INCOMPLETE
    worst = next((verdict for verdict in ("failed", "error", INCOMPLETE, "inconclusive") if counts[verdict]), "")
    words = f"{counts[worst]} of {total} {worst}" if worst else "nothing checked"
    return words, INCOMPLETE if worst == INCOMPLETE else "failed"


def text(run: Mapping[str, Any], path: Path, root: Path) -> str:
    """The badge, in the form that the suffix of `path` selects."""
    message, verdict = summary(run)
    if path.suffix != ".svg":
        shield = {"schemaVersion": 1, "label": LABEL, "message": message, "color": COLORS[verdict].removeprefix("#")}
        return json.dumps(shield | ({} if verdict == "passed" else {"isError": True})) + "\n"
    left, right = (round(CHARACTER * len(word)) + 12 for word in (LABEL, message))
    title = html.escape(f"{LABEL}: {message}")
    words = "".join(
        f'<text x="{middle:g}" y="14" textLength="{width - 12}" fill="#fff">{html.escape(word)}</text>'
        for word, width, middle in ((LABEL, left, left / 2), (message, right, left + right / 2))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{title}">'
        f'<title>{title}</title><clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3a3f45"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{COLORS[verdict]}"/></g>'
        f'<g font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">{words}</g></svg>\n'
    )
