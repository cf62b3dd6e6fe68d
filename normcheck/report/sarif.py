"""A run as SARIF 2.1.0, which code-scanning services read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from normcheck.report.problems import Problem, problems

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def text(run: Mapping[str, Any], path: Path, root: Path) -> str:
    """The document. An accepted finding becomes a suppressed result, with the reason as justification."""
    found = list(problems(run, root))
    laws = {one.check: one.law for one in reversed(found)}
    rules = {check: i for i, check in enumerate(sorted(laws))}
    driver = {
        "name": "normcheck",
        "version": str(run["normcheck"]),
        "rules": [{"id": check, "shortDescription": {"text": laws[check]}} for check in rules],
    }
    made = {"tool": {"driver": driver}, "results": [_result(one, rules[one.check]) for one in found]}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [made]}, indent=1) + "\n"


def _result(one: Problem, rule: int) -> dict[str, Any]:
    where = {"artifactLocation": {"uri": quote(one.place.path)}, "region": {"startLine": one.place.line}}
    out: dict[str, Any] = {
        "ruleId": one.check,
        "ruleIndex": rule,
        "level": "note" if one.accepted else "error",
        "message": {"text": one.text},
        "locations": [{"physicalLocation": where, "logicalLocations": [{"fullyQualifiedName": one.target}]}],
        "partialFingerprints": {"normcheck/v1": one.fingerprint},
    }
    if one.accepted:
        out["suppressions"] = [{"kind": "external", "justification": one.accepted}]
    if one.record is not None:
        out["properties"] = {key: one.record[key] for key in ("observed", "allowed", "case", "replay")}
    return out
