"""One finding as text, in a fixed grammar: law, found, allowed, where, case, remark, source, replay.

The first finding of a fault is told in full; what the same fault breaks besides, in a line.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def case_words(case: Mapping[str, Any]) -> str:
    """A case in one line: format and shape first, then what was drawn."""
    shape = "x".join(str(s) for s in case.get("shape", []))
    rest = [
        f"{k.replace('_', ' ')} {_shown(v)}" for k, v in case.items() if k not in ("shape", "format", "weight", "bias")
    ]
    asked = [name for name in ("weight", "bias") if name in case]  # a family whose cases may lack them says so
    given = " and ".join(name for name in asked if case[name]) or "no parameters"
    return ", ".join([f"{case.get('format', '')} {shape}".strip(), *([given] if asked else []), *rest])


def _times(observed: float, allowed: float) -> str:
    if not allowed > 0 or not math.isfinite(observed):
        return ""
    return f", {observed / allowed:.3g} times what is allowed"


LINES = 40
"""Rows of the terminal that one finding may take; a script that would take it beyond stays in the record."""


def _rows(lines: list[str], width: int) -> int:
    """Rows of a terminal that the lines fill, wrapped."""
    return sum(max(1, math.ceil(len(line) / width)) for line in lines)


def again(record: Mapping[str, Any], like: str) -> str:
    """A finding with the diagnosis of one that was told in full: which law, how far, the case to ask again.

    >>> again({"check": "sign", "observed": 0.5, "allowed": 0.1, "replay": "... --norm-replay sign/n=3"}, "value")
    'sign does not hold, 5 times what is allowed, as value above; replay sign/n=3'
    """
    times = _times(float(record["observed"]), float(record["allowed"]))
    case = str(record["replay"]).rpartition("--norm-replay ")[2]
    return f"{record['check']} does not hold{times}, as {like} above; replay {case}"


def finding(kind: str, target: str, record: Mapping[str, Any], width: int = 100) -> str:
    """A finding for people.

    >>> print(finding("layer_norm", "m:f", {"check": "sign", "law": "y(-x) = -y(x)", "observed": 0.5, "allowed": 0.0,
    ...     "where": [1], "case": {"shape": [2], "weight": False}, "source": "", "detail": "", "replay": "r"}))
    layer_norm m:f: sign does not hold
    <BLANKLINE>
      law      y(-x) = -y(x)
      found    0.5 at [1]
      allowed  0
      case      2, no parameters
      replay   r
    """
    observed, allowed = float(record["observed"]), float(record["allowed"])
    where = f" at {list(record['where'])}" if record["where"] else ""
    lines = [
        ("law", str(record["law"])),
        ("found", f"{observed:.4g}{where}{_times(observed, allowed)}"),
        ("allowed", f"{allowed:.4g}"),
        ("case", case_words(record["case"])),
        ("remark", str(record["detail"])),
        ("likely", str(record.get("likely", ""))),
        ("meant?", f"declare {record['remedy']} if it is" if record.get("remedy") else ""),
        ("source", str(record["source"])),
        ("replay", str(record["replay"])),
    ]
    out = [f"{kind} {target}: {record['check']} does not hold", ""]
    for label, text in lines:
        if text:
            fill = textwrap.wrap(text, max(40, width - 11), break_long_words=False, break_on_hyphens=False)
            out.append(f"  {label:<9}{fill[0]}")
            out += [" " * 11 + more for more in fill[1:]]
    if record.get("script"):
        shown = ["", "  without normcheck:", *("    " + line for line in record["script"])]
        long = _rows(out + shown, width) > LINES
        out += ["", "  without normcheck: a script with long tensors, in --norm-json FILE"] if long else shown
    return "\n".join(out)
