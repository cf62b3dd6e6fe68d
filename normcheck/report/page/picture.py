"""Accuracy and gradient of one implementation as a figure of matplotlib, for a notebook or a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from normcheck.core.errors import UsageError
from normcheck.report.formats import classes, formats_in
from normcheck.report.page.plots import ALONE, draw_accuracy, draw_gradient, style

WIDTH, HEIGHTS = 9.6, (4.4, 1.9)
"""Sizes in inches: of both pictures, and of accuracy and gradient."""


class Picture(Figure):
    """A figure that a notebook shows by itself, whether or not pyplot is loaded; `savefig` writes it to a file."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=110)
        return out.getvalue()


def picture(record: Mapping[str, Any]) -> Picture:
    """Error over its bound by condition and by width, and below it the distance from the gradient of each mode.

    record: of one implementation, as `schema.json` describes it. Raises `UsageError` if none of the two was measured.
    """
    curves, shares = record.get("curves", {}), record.get("gradient_shares", {})
    drawn = [height for height, measured in zip(HEIGHTS, (curves, shares), strict=True) if measured]
    if not drawn:
        raise UsageError(f"{record['target']}: there is nothing to plot: neither accuracy nor gradient was measured")
    with mpl.rc_context(style(ALONE)):
        figure = Picture(figsize=(WIDTH, sum(drawn)), layout="constrained", facecolor="white")
        figure.suptitle(f"{record['kind']} = {record['target']}: {record['verdict']}", fontsize=10)
        parts = iter(figure.subfigures(len(drawn), 1, height_ratios=drawn, squeeze=False)[:, 0])
        if curves:
            draw_accuracy(next(parts), curves, classes(record), formats_in(curves), ALONE)
        if shares:
            draw_gradient(next(parts), shares, ALONE)
    return figure
