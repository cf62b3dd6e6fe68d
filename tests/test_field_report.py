"""The field report: its texts follow from its JSON, each finding was reproduced, and the versions are pinned."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from normcheck.report.survey import files as survey_files
from normcheck.report.survey import tables as survey

ROOT = Path(__file__).parent.parent
STEM = ROOT / "docs" / "field_report"
REQUIREMENTS = ("requirements.txt", "requirements-alone.txt")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(STEM.with_suffix(".json").read_text(encoding="utf-8"))
    return found


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_texts_follow_from_the_document(document: dict[str, Any]) -> None:
    for ending, text in survey_files.contents(document):
        assert STEM.with_suffix(ending).read_text(encoding="utf-8") == text, (
            f"normcheck survey --report made no {ending}"
        )


def test_it_tells_nothing_of_the_machine(document: dict[str, Any]) -> None:
    """What was told once is told: no place of a file is left, and nothing that pages do not show."""
    assert survey_files.told(document) == document
    text = STEM.with_suffix(".md").read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|usr|work|opt|Users)/", text)
    assert STEM.with_suffix(".html").stat().st_size < 1_000_000


def test_the_survey_is_whole(document: dict[str, Any]) -> None:
    """At least 200 classes and functions of 14 libraries were checked, none was left out, and hangs are named."""
    rows = [row for one in document["libraries"] for row in one["normalizers"]]
    checked = [row for row in rows if row["standing"] not in survey.LISTED]

    assert document["complete"]
    assert len(checked) + sum(len(row["same"]) for row in checked) >= 200
    assert sum(any(row in checked for row in one["normalizers"]) for one in document["libraries"]) >= 14
    assert all(row["reason"] for row in rows if row["standing"] == "stopped")


def test_each_finding_was_reproduced(document: dict[str, Any]) -> None:
    """No library is accused without a script that has shown it in the pinned environment."""
    for finding in survey.findings(document):
        assert dict(zip(survey.FINDING_HEADS, finding, strict=True))["its script"] == "reproduced", finding


def test_versions_are_those_that_are_pinned(document: dict[str, Any]) -> None:
    """A library whose distribution has another name than its package is found under that name."""
    other = {"neuralop": "neuraloperator", "open_clip": "open_clip_torch", "torch": "torch"}
    pinned = {plain(name): version for name, version in pins("constraints-survey.txt").items()}
    for one in document["libraries"]:
        version = one["version"].partition("+")[0]
        assert pinned[plain(other.get(one["name"], one["name"]))] == version, one["name"]


def test_what_is_installed_is_pinned() -> None:
    pinned = {plain(name) for name in pins("constraints-survey.txt")}
    for name in REQUIREMENTS:
        lines = (ROOT / "tests" / "real_layers" / name).read_text(encoding="utf-8").splitlines()
        wanted = {plain(line) for line in lines if line and not line.startswith("#")}
        assert wanted <= pinned, wanted - pinned
    assert pins("constraints-survey.txt")["torch"] == pins("constraints.txt")["torch"]
