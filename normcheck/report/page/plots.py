"""Plots of a record as inline SVG, drawn by matplotlib. One drawing serves the dark and the light theme of a page.

While matplotlib draws, colors are placeholders; afterwards they become variables of the page's style sheet.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import FuncFormatter, LogLocator

from normcheck.report.page.small_svg import small

INK, LINE, BAD = "#010101", "#020202", "#030303"
SERIES = ("#040404", "#050505", "#060606", "#070707")
MARKERS = ("o", "s", "^", "D")
COLORS = {INK: "var(--ink)", LINE: "var(--line)", BAD: "var(--bad)"} | {
    color: f"var(--series-{i})" for i, color in enumerate(SERIES, 1)
}
ALONE = {INK: "#1f2328", LINE: "#c4ccd4", BAD: "#cf222e"} | dict(
    zip(SERIES, ("#0969da", "#bc4c00", "#1a7f37", "#8250df"), strict=True)
)
"""The colors of a picture that stands on white, for the same placeholders."""
PLACEHOLDERS = {color: color for color in COLORS}
"""The colors of a drawing for the page."""


def style(colors: Mapping[str, str]) -> Any:
    """The settings of matplotlib for a drawing in these colors."""
    ink, line = colors[INK], colors[LINE]
    return {
        "svg.fonttype": "none",  # text stays text: small, searchable, readable by screen readers
        "text.parse_math": False,  # labels may come from a record
        "font.family": "DejaVu Sans", "font.size": 9.0,
        "text.color": ink, "axes.labelcolor": ink, "xtick.color": ink, "ytick.color": ink, "axes.edgecolor": line,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
        "grid.color": line, "grid.linewidth": 0.4,
        "xtick.major.size": 0.0, "ytick.major.size": 0.0, "xtick.major.pad": 5.0, "ytick.major.pad": 5.0,
        "legend.frameon": False, "axes.facecolor": "none",
    }  # fmt: skip


STYLE: Any = style(PLACEHOLDERS)

LEAST_SHARE = 1e-3
"""Shares below this are drawn here: such results are as good as exact."""

AXES = {"condition": "condition of the set, rms(x) / s", "width": "entries that share a statistic"}


def _tick(value: float, _: int) -> str:
    """The label of a tick on a logarithmic axis: numbers from 1 to 9999 as they are, others in the form 1e-2."""
    return f"{value:g}" if 1.0 <= value < 1e4 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _figure(width: float, height: float) -> Figure:
    """A figure without a background. Sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    return figure


def _svg(figure: Figure, place: str, name: str) -> str:
    """The drawing as an SVG element.

    place: where it stands on the page. name: the description for screen readers; a text of this package, not escaped.
    """
    for axes in figure.axes:
        axes.patch.set_visible(False)
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": place}):  # fixed ids, so that the same run gives the same page
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    text = small(out.getvalue())
    for color, variable in COLORS.items():
        text = text.replace(color, variable)
    width, height = (72 * inches for inches in figure.get_size_inches())
    widest = f"max-width:{110 * figure.get_figwidth():.0f}px"  # the page scales it
    return (
        f'<svg role="img" aria-label="{name}" class="plot" style="{widest}" viewBox="0 0 {width:g} {height:g}">\n'
        f"{text}\n</svg>"
    )


PASSES = (("forward", 0, "-"), ("backward", 1, "-"), ("one-pass", -1, ":"))
"""What is drawn for each format: the number of its color, negative for a quiet one, and the style of its line."""

COMPARED = "E[x\u00b2] \u2212 E[x]\u00b2, for comparison"


def _points(curves: Mapping[str, Mapping[str, Any]], place: str, axis: str) -> list[tuple[float, float]]:
    """The points of a line; zero cannot be drawn on a logarithmic axis."""
    points = [(float(x), float(y)) for x, y in curves.get(place, {}).get(axis, [])]
    return [(x, y) for x, y in points if y > 0.0]


def _errors(curves: Mapping[str, Mapping[str, Any]], formats: Sequence[str]) -> dict[str, list[float]]:
    """All errors that were measured, by format; a format without any is left out."""
    found = {
        one: [y for part in ("forward", "backward") for axis in AXES for _, y in _points(curves, f"{part} {one}", axis)]
        for one in formats
    }
    return {one: errors for one, errors in found.items() if errors}


def accuracy(
    curves: Mapping[str, Mapping[str, Any]], classes: Mapping[str, str], formats: Sequence[str], place: str
) -> str:
    """Error in units of the bound, over the condition and over the width; empty if nothing was measured.

    A column for each format. curves: by "PASS FORMAT" and axis, pairs of place and error. classes: by "PASS FORMAT",
    the accuracy class, in which the format is judged. formats: in the order of the columns.
    """
    drawn = _errors(curves, formats)
    if not drawn:
        return ""
    with mpl.rc_context(STYLE):
        figure = _figure(max(4.0, 2.4 * len(drawn)), 4.4)
        draw_accuracy(figure, curves, classes, formats, PLACEHOLDERS)
        return _svg(figure, place, "Error over its bound by format, condition and width; the dashed line is the bound")


def draw_accuracy(
    figure: FigureBase, curves: Mapping[str, Mapping[str, Any]], classes: Mapping[str, str], formats: Sequence[str],
    colors: Mapping[str, str],
) -> None:  # fmt: skip
    """Draw what `accuracy` describes, in these colors; something was measured."""
    measured = _errors(curves, formats)
    top = max([3.0, *(10.0 * y for errors in measured.values() for y in errors if math.isfinite(y))])
    grid = figure.subplots(len(AXES), len(measured), sharey=True, sharex="row", squeeze=False)
    named: dict[str, Any] = {}
    for i, (axis, label) in enumerate(AXES.items()):
        for axes, format in zip(grid[i], measured, strict=True):
            _panel(axes, curves, format, axis, top, colors)
            named |= {str(line.get_label()): line for line in axes.get_lines()}
            judged = classes.get(f"forward {format}", "sound")
            axes.axhline(1.0, color=colors[BAD if judged == "sound" else INK], linewidth=1.2, linestyle="--")
            if i == 0:
                axes.set_title(format if judged == "sound" else f"{format} ({judged})", fontsize=9)
        grid[i, 0].set_ylabel("error / bound")
        grid[i, len(measured) // 2].set_xlabel(label)
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=len(named), fontsize=8)


def _panel(
    axes: Axes, curves: Mapping[str, Mapping[str, Any]], format: str, axis: str, top: float, colors: Mapping[str, str]
) -> None:
    axes.set_yscale("log")
    axes.set_ylim(LEAST_SHARE / 1.5, top)
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=5))
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    axes.minorticks_off()
    for part, number, style in PASSES:
        points = _points(curves, f"{part} {format}", axis)
        if not points or (part == "one-pass" and axis != "condition"):
            continue
        quiet = number < 0
        axes.plot(
            [x for x, _ in points], [min(max(y, LEAST_SHARE), top / 1.5) for _, y in points],
            color=colors[INK if quiet else SERIES[number]], marker="" if quiet else MARKERS[number], markersize=3.0,
            linewidth=1.2, linestyle=style, alpha=0.6 if quiet else 1.0, label=COMPARED if quiet else part,
        )  # fmt: skip


def gradient(shares: Mapping[str, Any], place: str) -> str:
    """Distance of the gradient from the closed form of each mode; empty if there is no gradient."""
    if not shares:
        return ""
    with mpl.rc_context(STYLE):
        figure = _figure(6.4, 1.7)
        draw_gradient(figure, shares, PLACEHOLDERS)
        return _svg(figure, place, "Distance of the gradient from each closed form; bars before the line fit")


def draw_gradient(figure: FigureBase, shares: Mapping[str, Any], colors: Mapping[str, str]) -> None:
    """Draw what `gradient` describes, in these colors."""
    names = list(shares)[::-1]
    values = [float(shares[name]) for name in names]
    known = [v for v in values if math.isfinite(v)]
    top = max([10.0, *(5.0 * v for v in known)])
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_xlim(LEAST_SHARE, top)
    axes.xaxis.set_major_locator(LogLocator(numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    axes.barh(
        names, [min(max(v, LEAST_SHARE * 1.5), top) - LEAST_SHARE for v in values], height=0.55, left=LEAST_SHARE,
        color=[colors[SERIES[2]] if v <= 1.0 else colors[SERIES[1]] for v in values],
    )  # fmt: skip
    axes.axvline(1.0, color=colors[BAD], linewidth=1.2, linestyle="--")
    axes.set_xlabel("distance from the closed form / what rounding allows")
    axes.grid(visible=False, axis="y")


def speed(rows: Sequence[Mapping[str, Any]], place: str) -> str:
    """Ratio to the baseline with its interval, a line for each shape; empty if nothing was timed.

    rows: mappings with the keys label, value, low and high.
    """
    if not rows:
        return ""
    with mpl.rc_context(STYLE):
        figure, axes, heights = _by_shape(rows)
        axes.hlines(heights, [r["low"] for r in rows], [r["high"] for r in rows], color=SERIES[0], linewidth=2.5)
        axes.plot([r["value"] for r in rows], heights, "o", color=SERIES[0], markersize=4)
        axes.set_xlabel("time / time of the baseline")
        return _svg(figure, place, "Time over the baseline's time with its interval, by shape")


def memory(rows: Sequence[Mapping[str, Any]], place: str) -> str:
    """Peak memory over the memory needed, a bar for each shape; empty without rows. rows: with label and memory."""
    if not rows:
        return ""
    with mpl.rc_context(STYLE):
        figure, axes, heights = _by_shape(rows)
        axes.barh(heights, [r["memory"] for r in rows], height=0.55, color=SERIES[2])
        axes.set_xlabel("bytes held at once / bytes that must be kept")
        return _svg(figure, place, "Peak memory over the memory needed, by shape")


def _by_shape(rows: Sequence[Mapping[str, Any]]) -> tuple[Figure, Axes, list[int]]:
    """Axes with a labeled line for each row and a line at 1, and the heights of the rows."""
    figure = _figure(6.4, 0.8 + 0.22 * len(rows))
    axes = figure.subplots()
    heights = list(range(len(rows), 0, -1))
    axes.set_yticks(heights, [r["label"] for r in rows])
    axes.axvline(1.0, color=INK, linewidth=1.0, linestyle="--")
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0.0, 1.1 * max(1.0, *(max(r.get("high", 0.0), r.get("memory") or 0.0) for r in rows)))
    return figure, axes, heights


def growth(grown: Sequence[Mapping[str, Any]], place: str) -> str:
    """Time against a size on logarithmic axes, with the time that memory needs for the least traffic; empty if none."""
    if not grown:
        return ""
    with mpl.rc_context(STYLE):
        figure = _figure(6.4, 3.2)
        axes = figure.subplots()
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(LogLocator(base=2, numticks=8))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(_tick))
        for i, one in enumerate(grown):
            sizes, color = one["time"]["sizes"], SERIES[i % len(SERIES)]
            axes.plot(sizes, [1e6 * t for t in one["time"]["values"]], color=color, marker=MARKERS[i % len(MARKERS)],
                      markersize=3.5, linewidth=1.2, label=one["pass"])  # fmt: skip
            axes.plot(sizes, [1e6 * t for t in one["floor"]], color=color, linewidth=1.0, linestyle="--",
                      label=f"{one['pass']}, what memory allows")  # fmt: skip
        axes.minorticks_off()
        fixed = grown[0]["fixed"]
        wide = grown[0]["over"] == "width"
        axes.set_xlabel(f"entries that share a statistic, in {fixed} sets" if wide else f"sets of {fixed} entries")
        axes.set_ylabel("microseconds")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=8)
        return _svg(figure, place, "Time against size; the dashed line is what the memory's bandwidth allows")
