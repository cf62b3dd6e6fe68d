"""A survey as one page that loads nothing from the network and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from normcheck.report import causes, survey
from normcheck.report.finding_views import SCRIPT_CHARACTERS, cause_views

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def text(document: Mapping[str, Any]) -> str:
    """The page."""
    folder = files("normcheck") / "report" / "pages"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found = sum(bool(row["record"]["findings"]) for one in document["libraries"] for row in survey.tabled(one))
    return environment.get_template("survey.html").render(
        document=document, policy=POLICY,
        style=Markup((folder / "run.css").read_text(encoding="utf-8")),  # noqa: S704  # a file of this package
        summary=survey.summary(document), findings=list(survey.findings(document)), finding_heads=survey.FINDING_HEADS,
        count_heads=survey.count_heads(document), counts=survey.counted(document), heads=survey.heads(document),
        libraries=[
            _view(one, SCRIPT_CHARACTERS // max(found, 1), timed=survey.is_timed(document))
            for one in document["libraries"]
        ],
    )  # fmt: skip


def _view(library: Mapping[str, Any], characters: int, *, timed: bool) -> dict[str, Any]:
    rows = survey.tabled(library)
    return {
        "name": f"{library['name']} {library['version']}".strip(),
        "rows": [
            {"standing": row["standing"], "same": row["same"], "cells": survey.cells(row, timed=timed)} for row in rows
        ],
        "details": [
            {
                "name": survey.name(row), "standing": row["standing"],
                "warnings": list(causes.warnings(row["record"]["warnings"])),
                "causes": list(cause_views(row["record"], characters)),
                "scripts": [one for one in row.get("reproductions", ()) if one["script"]],
            }
            for row in rows if row["record"]["warnings"] or row["record"]["findings"]
        ],
        "listed": list(survey.listed(library)),
    }  # fmt: skip
