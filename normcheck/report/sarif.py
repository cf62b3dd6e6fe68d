"""A run as SARIF 2.1.0, which code-scanning services read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from normcheck.report.problems import Problem, problems

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

FINGERPRINTS = ("primaryLocationLineHash", "normcheck/v2")
"""Names under which a result has its fingerprint. GitHub follows a result by the first only, and where it is missing
by the text of the line, which two implementations may share."""


def text(run: Mapping[str, Any], path: Path, root: Path) -> str:
    """The document: one result for each cause, warning and error.

    An accepted finding becomes a suppressed result, with the reason as justification.
    """
    found = list(problems(run, root))
    summaries = {one.rule: one.summary for one in reversed(found)}
    rules = {rule: i for i, rule in enumerate(sorted(summaries))}
    driver = {
        "name": "normcheck",
        "version": str(run["normcheck"]),
        "rules": [{"id": rule, "shortDescription": {"text": summaries[rule]}} for rule in rules],
    }
    made = {"tool": {"driver": driver}, "results": [_result(one, rules[one.rule]) for one in found]}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [made]}, indent=1) + "\n"


def _result(one: Problem, rule: int) -> dict[str, Any]:
    where = {"artifactLocation": {"uri": quote(one.place.path)}, "region": {"startLine": one.place.line}}
    out: dict[str, Any] = {
        "ruleId": one.rule,
        "ruleIndex": rule,
        "level": one.level,
        "message": {"text": one.text},
        "locations": [{"physicalLocation": where, "logicalLocations": [{"fullyQualifiedName": one.target}]}],
        "partialFingerprints": dict.fromkeys(FINGERPRINTS, one.fingerprint),
    }
    if one.reason:
        out["suppressions"] = [{"kind": "external", "justification": one.reason}]
    if one.cause is not None:
        finding = one.cause["finding"]
        shown = {key: finding[key] for key in ("check", "observed", "allowed", "case", "replay")}
        out["properties"] = {"checks": one.cause["checks"], **shown}
    return out
