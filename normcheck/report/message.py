"""One finding as text, in a fixed grammar: law, found, allowed, where, case, remark, source, replay.

The first finding of a fault is reported in full; further findings of the same fault in one line each.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from normcheck.core.errors import IN_BACKWARD


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def case_words(case: Mapping[str, Any]) -> str:
    """A case in one line: format and shape first, then what was drawn."""
    shape = "x".join(str(s) for s in case.get("shape", []))
    rest = [
        f"{k.replace('_', ' ')} {_value(v)}" for k, v in case.items() if k not in ("shape", "format", "weight", "bias")
    ]
    drawn = [name for name in ("weight", "bias") if name in case]  # only for families whose cases have these keys
    present = " and ".join(name for name in drawn if case[name]) or "no parameters"
    return ", ".join([f"{case.get('format', '')} {shape}".strip(), *([present] if drawn else []), *rest])


def _times(observed: float, allowed: float, figure: Callable[[float], str]) -> str:
    if not allowed > 0 or not math.isfinite(observed):
        return ""
    return f", {figure(observed / allowed)} times what is allowed"


def _figure(value: float) -> str:
    return f"{value:.4g}"


def _ratio(value: float) -> str:
    return f"{value:.3g}"


def measured(
    record: Mapping[str, Any],
    figure: Callable[[float], str] = _figure,
    ratio: Callable[[float], str] = _ratio,
) -> list[tuple[str, str]]:
    """The lines that tell what was found and what is allowed, in words where a number says nothing.

    figure, ratio: how a number is written, and how many times it is what is allowed.

    >>> measured({"observed": 0.5, "allowed": 0.1, "where": [1], "detail": ""})
    [('found', '0.5 at [1], 5 times what is allowed'), ('allowed', '0.1'), ('remark', '')]
    >>> measured({"observed": 0.0, "allowed": 0.0, "where": [], "detail": "the output is float32"})
    [('found', 'the output is float32')]
    """
    observed, allowed, detail = float(record["observed"]), float(record["allowed"]), str(record.get("detail", ""))
    where = f" at {list(record['where'])}" if record["where"] else ""
    counted = math.isfinite(observed) and observed > 0
    if not (allowed > 0 or where) and (detail or not counted):  # an event, as an exception or a side effect
        return [("found", detail or "what the law excludes")]
    found = figure(observed) if math.isfinite(observed) else "no finite number"
    if allowed > 0:
        limit = figure(allowed)
    else:
        found, limit = f"a difference of {found}" if math.isfinite(observed) else found, "none: it must be equal"
    return [
        ("found", f"{found}{where}{_times(observed, allowed, ratio)}"),
        ("allowed", limit),
        ("remark", detail),
    ]


UNEXPLAINED = "unexplained"
"""The cause of findings that no known fault explains."""

RAISES = "raises "
"""How the name of a cause begins that is an exception."""

CONVENTIONS = "conventions"
"""Name of the check that compares the declared conventions with those that are followed."""

MOST_ROWS = 40
"""Rows of the terminal that one finding may take, about one screen; a longer script is only in the record."""


NOT_IN_BRIEF = ("allowed", "case", "remark", "likely", "source", "replay", "smallest")
"""Labels of the lines that a finding has only in full: its title names the fault, and the summary of a run of many
tells its story, its case and the command that repeats it."""


def _rows(lines: list[str], width: int) -> int:
    """The rows of a terminal that the lines fill when wrapped."""
    return sum(max(1, math.ceil(len(line) / width)) for line in lines)


def short_finding(record: Mapping[str, Any], like: str) -> str:
    """A finding in one line: check, excess, replay. like: an earlier check with the same cause.

    >>> record = {"check": "sign", "observed": 0.5, "allowed": 0.1, "replay": "... --norm-replay sign/n=3"}
    >>> short_finding(record, "value")
    'sign: same cause as value, 5 times what is allowed; replay sign/n=3'
    """
    times = _times(float(record["observed"]), float(record["allowed"]), _ratio)
    case = _case(str(record["replay"]))
    cause = str(record.get("cause", ""))
    same = f"same cause as {like}" + (f", {cause}" if cause else "")
    return f"{record['check']}: {same}{times}; replay {case}"


def title(record: Mapping[str, Any]) -> str:
    """What a finding says, in a few words.

    >>> title({"check": "conventions", "remedy": "weight=1+w"}), title({"check": "sign", "cause": "unexplained"})
    ('it follows weight=1+w, which is not declared', 'sign does not hold')
    >>> title({"check": "value", "cause": "eps-ignored"})
    'value does not hold: eps-ignored'
    >>> title({"check": "moments", "cause": "raises ValueError", "detail": "f raised ValueError: no"})
    'it raises ValueError'
    """
    cause = str(record.get("cause", ""))
    if record["check"] == CONVENTIONS:
        return f"it follows {record['remedy']}, which is not declared"
    if is_exception(record):
        return f"{'its backward' if IN_BACKWARD in record['detail'] else 'it'} {cause}"
    return f"{record['check']} does not hold" + (f": {cause}" if cause not in ("", UNEXPLAINED) else "")


def is_exception(record: Mapping[str, Any]) -> bool:
    """Whether what was found is an exception."""
    return str(record.get("cause", "")).startswith(RAISES)


def _case(replay: str) -> str:
    """The id of a case in the command that repeats it."""
    return replay.rpartition("--norm-replay ")[2]


def finding(kind: str, target: str, record: Mapping[str, Any], width: int = 100, *, brief: bool = False) -> str:
    """A finding as the terminal shows it. record: of one finding; its optional keys may be absent.

    brief: leave out what the summary tells (`NOT_IN_BRIEF`), the script, and the implementation, which pytest writes in
    the line above.

    >>> print(finding("layer_norm", "m:f", {"check": "sign", "law": "y(-x) = -y(x)", "observed": 0.5, "allowed": 0.0,
    ...     "where": [1], "case": {"shape": [2], "weight": False}, "source": "", "detail": "", "replay": "r"}))
    layer_norm m:f: sign does not hold
    <BLANKLINE>
      law      y(-x) = -y(x)
      found    a difference of 0.5 at [1]
      allowed  none: it must be equal
      case     2, no parameters
      replay   r
    """
    numbers = measured(record)
    lines = [
        ("law", str(record["law"])),
        *numbers[:2],
        ("case", case_words(record["case"])),
        *numbers[2:],
        ("likely", str(record.get("likely", ""))),
        ("if meant", f"declare {record['remedy']}" if record.get("remedy") else ""),
        ("source", str(record["source"])),
        ("replay", str(record["replay"])),
        ("smallest", _case(str(record.get("smallest", "")))),
    ]
    out = [title(record)] if brief else [f"{kind} {target}: {title(record)}", ""]
    for label, text in lines:
        if text and not (brief and label in NOT_IN_BRIEF):
            fill = textwrap.wrap(text, max(40, width - 11), break_long_words=False, break_on_hyphens=False)
            out.append(f"  {label:<9}{fill[0]}")
            out += [" " * 11 + more for more in fill[1:]]
    if record.get("script") and not brief:
        shown = ["", "  without normcheck:", *("    " + line for line in record["script"])]
        long = _rows(out + shown, width) > MOST_ROWS
        out += ["", "  without normcheck: a script with long tensors, in --norm-json FILE"] if long else shown
    return "\n".join(out)
