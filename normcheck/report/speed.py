"""Timings in words and lines: for the terminal, the page, and the message of a limit that is exceeded."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

BAR = 5
"""Characters of a bar for a ratio of 1; a bar has at most twice as many."""

MARKS = {"slower": " slower", "inconclusive": " ?"}
"""Behind the bar of a result that is not within the limit."""

CALL = "bound by the call"
"""The verdict of a share that means little, because moving the bytes takes no longer than a call."""

WIDE_TERMINAL = 100
"""From this number of columns on, intervals are written with both ends."""

MEDIAN_APART = 1.02
"""The ratio of medians is shown if it is more than this many times the ratio of the quickest tenth."""


def label(one: Mapping[str, Any], times: str = "x") -> str:
    """Shape, format, pass, and "cold" for cold caches. times: the text between the sizes."""
    cold = " cold" if one["cache"] == "cold" else ""
    return f"{one['sets']}{times}{one['n']} {one['format']} {one['pass']}{cold}"


def hidden(one: Mapping[str, Any]) -> list[str]:
    """Copies and casts of the whole input, each in a few words."""
    held = one["memory"] or {}
    return [_extra(extra) for extra in held.get("extras", ()) if extra["full"] and extra["kind"] != "temporary"]


def _extra(extra: Mapping[str, Any]) -> str:
    dtypes = f" from {extra['from']} to {extra['to']}" if extra["kind"] == "cast" else ""
    return f"{extra['count']} {extra['kind']} by {extra['operator']}{dtypes} in its {extra['pass']}"


def growth_law(one: Mapping[str, Any]) -> str:
    """The size to the fitted power, with its interval."""
    fit = one["time"]
    return f"{one['over']}^{fit['exponent']:.2f} [{fit['low']:.2f}, {fit['high']:.2f}]"


def growth(one: Mapping[str, Any]) -> str:
    """How time and memory of a pass grow with a size, and at which sizes the time jumps."""
    fit, peaks = one["time"], one["memory"]
    jumps = "".join(f", {j['factor']:.1f} times at {j['below']} to {j['above']}" for j in fit["jumps"])
    memory = "" if peaks is None else f"; holds {one['over']}^{peaks['exponent']:.2f}"
    reason = f" ({fit['reason']})" if fit["reason"] else ""
    return f"{one['pass']} takes {growth_law(one)}{jumps}{memory}: {fit['verdict']}{reason}"


def heading(one: Mapping[str, Any]) -> str:
    """The heading that explains the lines below it."""
    return (
        f"on {one['device']} with {one['threads']} threads: time, ratio to the {one['baseline']} baseline "
        f"({'#' * BAR} as fast as it), share of the bandwidth of the cache or memory that holds it"
    )


def lines(speeds: Sequence[Mapping[str, Any]], width: int) -> Iterator[tuple[str, bool]]:
    """Lines for each shape and pass, each with whether it is too slow: time, ratio, share, bar; then other results."""
    for one in speeds:
        slower = one["verdict"] == "slower"
        yield _line(one, width), slower
        for more in textwrap.wrap("; ".join(_further(one)), width - 6, break_long_words=False):
            yield " " * 6 + more, slower


def _line(one: Mapping[str, Any], width: int) -> str:
    ratio, reached = one["ratio"], one["bandwidth"]
    half = f"+-{(ratio['high'] - ratio['low']) / 2.0:.2f}"
    if width >= WIDE_TERMINAL:
        half = f"[{ratio['low']:.2f}, {ratio['high']:.2f}]"
    share = f"{100.0 * reached['share']:3.0f} % {reached['level']:<6}"
    if reached["verdict"] == CALL:
        share = f"{'by the call':<12}"
    bar = "#" * max(1, min(2 * BAR, round(ratio["value"] * BAR))) + MARKS.get(one["verdict"], "")
    return f"    {label(one):<31}{1e6 * one['seconds']:>9.1f} us{ratio['value']:>6.2f} {half} {share} {bar}"


def _further(one: Mapping[str, Any]) -> Iterator[str]:
    """Results for which the line has no room: medians, further baselines, memory, copies, why there is no verdict."""
    if one["typical"]["value"] > MEDIAN_APART * one["ratio"]["value"]:
        yield f"{one['typical']['value']:.2f} in the median"
    for name, ratio in one["beside"].items():
        yield f"{ratio['value']:.2f} x {name}"
    held = one["memory"]
    if held is not None and held["ratio"] >= 1.01:
        yield f"{held['ratio']:.2f} x the memory needed"
    yield from hidden(one)
    if one["reason"]:
        yield one["reason"]
    regression = one.get("regression")
    if regression is not None:
        before = regression["before"]
        yield "no saved run of this machine" if before is None else f"was [{before[0]:.2f}, {before[1]:.2f}]"
