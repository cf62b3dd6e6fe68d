"""A survey as one page that loads nothing from the network and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from normcheck.report import causes
from normcheck.report.page.finding_views import SCRIPT_CHARACTERS, cause_views
from normcheck.report.survey import tables

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def text(document: Mapping[str, Any]) -> str:
    """The page."""
    folder = files("normcheck") / "report" / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found = sum(bool(row["record"]["findings"]) for one in document["libraries"] for row in tables.tabled(one))
    return environment.get_template("survey.html").render(
        document=document, policy=POLICY,
        style=Markup((folder / "run.css").read_text(encoding="utf-8")),  # noqa: S704  # a file of this package
        summary=tables.summary(document), findings=list(tables.findings(document)), finding_heads=tables.FINDING_HEADS,
        count_heads=tables.count_heads(document), counts=tables.counted(document), heads=tables.heads(document),
        libraries=[
            _view(one, SCRIPT_CHARACTERS // max(found, 1), timed=tables.is_timed(document))
            for one in document["libraries"]
        ],
    )  # fmt: skip


def _view(library: Mapping[str, Any], characters: int, *, timed: bool) -> dict[str, Any]:
    rows = tables.tabled(library)
    return {
        "name": f"{library['name']} {library['version']}".strip(),
        "rows": [
            {"standing": row["standing"], "same": row["same"], "cells": tables.cells(row, timed=timed)} for row in rows
        ],
        "details": [
            {
                "name": tables.name(row), "standing": row["standing"],
                "warnings": list(causes.warnings(row["record"]["warnings"])),
                "causes": list(cause_views(row["record"], characters)),
                "scripts": [one for one in row.get("reproductions", ()) if one["script"]],
            }
            for row in rows if row["record"]["warnings"] or row["record"]["findings"]
        ],
        "listed": list(tables.listed(library)),
    }  # fmt: skip
