"""Public reports of faults in libraries, by library and normalizer, from a file of data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _reports() -> tuple[tuple[str, str, str], ...]:
    """Library, attribute and text of each report; the text is where it is, and its matter."""
    text = (files("normcheck") / "report" / "survey" / "public_reports.toml").read_text(encoding="utf-8")
    return tuple(
        (one["library"], attribute, f"{one['at']} ({one['matter']})")
        for one in tomllib.loads(text)["report"] for attribute in one["normalizers"]
    )  # fmt: skip


def public_reports(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The public reports on a callable of a survey, under any of its names.

    >>> public_reports({"target": "timm.layers:SimpleNorm", "same": []})
    ('huggingface/pytorch-image-models#2380 (the variance is taken, where a mean square is meant)',)
    """
    names = {(one.partition(".")[0].partition(":")[0], one.rpartition(":")[2]) for one in (row["target"], *row["same"])}
    return tuple(text for library, attribute, text in _reports() if (library, attribute) in names)
