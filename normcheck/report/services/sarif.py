"""A run as SARIF 2.1.0, which code-scanning services read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any
from urllib.parse import quote

from normcheck.report.services.markdown import plain
from normcheck.report.services.problems import Problem, problems

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

PROJECT = "https://pypi.org/project/normcheck/"
"""Where the tool is described."""

LONGEST_DESCRIPTION = 1024
"""Most characters of the description of a rule that GitHub reads."""

FINGERPRINTS = ("primaryLocationLineHash", "normcheck/v2")
"""Names under which a result has its fingerprint. GitHub follows a result by the first only, and where it is missing
by the text of the line, which two implementations may share."""


def text(run: Mapping[str, Any], path: Path, root: Path) -> str:
    """The document: one result for each cause, warning and error.

    An accepted finding becomes a suppressed result, with the reason as justification.
    """
    found = list(problems(run, root))
    first = {one.rule: one for one in reversed(found)}
    rules = {rule: i for i, rule in enumerate(sorted(first))}
    driver = {
        "name": "normcheck",
        "version": str(run["normcheck"]),
        "informationUri": PROJECT,
        "rules": [_rule(first[rule]) for rule in rules],
    }
    made = {"tool": {"driver": driver}, "results": [_result(one, rules[one.rule]) for one in found]}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [made]}, indent=1) + "\n"


def _rule(one: Problem) -> dict[str, Any]:
    """The rule of a problem: what it means in short and in full, where that is known from, and how to read more."""
    story = one.story or one.summary
    parts = [story]
    if one.source:
        parts += [f"Source: {one.source}", f"More: normcheck explain {one.rule}"]
    return {
        "id": one.rule,
        "shortDescription": {"text": shorten(one.summary, LONGEST_DESCRIPTION, placeholder=" ...") or one.rule},
        "fullDescription": {"text": shorten(story, LONGEST_DESCRIPTION, placeholder=" ...") or one.rule},
        "help": {"text": "\n\n".join(parts), "markdown": "\n\n".join(map(plain, parts))},
        "helpUri": _help_uri(one.source),
        "defaultConfiguration": {"level": one.level},
    }


def _help_uri(source: str) -> str:
    """The address of the source: of an issue of GitHub, written as "owner/name#5", or else of this project.

    >>> _help_uri("pytorch/pytorch#36382")
    'https://github.com/pytorch/pytorch/issues/36382'
    """
    issue = re.fullmatch(r"([A-Za-z0-9-]+/[A-Za-z0-9._-]+)#(\d+)", source, re.ASCII)
    return f"https://github.com/{issue[1]}/issues/{issue[2]}" if issue else PROJECT


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
