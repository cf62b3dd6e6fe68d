"""The picture of a fault: right and faulty numbers over their position, as a small SVG inside of a page.

It has the colors of the page, light or dark, and no library draws it: a plot of matplotlib is ten times as large, and
there is one for each fault.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from html import escape

import numpy as np

from normcheck.core.floats import Array
from normcheck.explain.fault_cases import FaultCase

WIDTH, HEIGHT, LEFT, EDGE = 640.0, 170.0, 76.0, 14.0
MOST = 32
"""Entries of a picture; of more, those around the one that is furthest off."""

VISIBLE = 0.02
"""The least share of the largest number that a difference must have to be seen beside it."""


def figure(case: FaultCase) -> str:
    """The picture with its caption, in HTML; a sentence where no array differs."""
    if case.right is None or case.faulty is None:
        found = f": {case.detail}" if case.detail else ""
        return f"<p>No picture: the law {_law(case)} does not compare numbers{escape(found)}.</p>"
    first, last = _window(case.right, case.where)
    right, faulty = (np.ravel(np.broadcast_to(one, case.right.shape))[first:last] for one in (case.right, case.faulty))
    apart = case.share < VISIBLE
    drawn = _svg(faulty - right, None) if apart else _svg(faulty, right)
    marks = "difference, faulty - right" if apart else '<span class="right">right</span> and faulty'
    if not np.isfinite(faulty).all():
        marks += ", &#215; where it is not finite"
    of = f"entries {first} to {last - 1} of {case.right.size}" if case.right.size > 1 else "one number"
    about = f"{marks}: {of} that {_law(case)} compares, on {escape(_words(case))}"
    asked = f"pytest --norm {case.kind}=mypkg.kernels:mine --norm-replay {shlex.quote(case.replay)}"
    return (
        f'<figure class="fault">{drawn}<figcaption>{about}. The same case of your code:'
        f" <code>{escape(asked)}</code></figcaption></figure>"
    )


def _law(case: FaultCase) -> str:
    """A link from the page of a fault to that of the law which finds it."""
    return f'<a href="../laws/{case.check}.html"><code>{case.check}</code></a>'


def _words(case: FaultCase) -> str:
    """The case in words: its format and shape, and what else is not as usual."""
    values = dict(case.case)
    shape = "x".join(map(str, values.pop("shape", ())))
    rest = [name if value is True else f"{name} {value}" for name, value in values.items() if name != "format" and
            value is not False]  # fmt: skip
    return ", ".join([f"{values.get('format', '')} {shape}".strip(), *rest])


def _window(right: Array, where: tuple[int, ...]) -> tuple[int, int]:
    """The entries that are shown, in the order of memory: first, and one beyond the last."""
    if right.size <= MOST:
        return 0, right.size
    at = int(np.ravel_multi_index(where, right.shape)) if where else 0
    first = min(max(0, at - MOST // 2), right.size - MOST)
    return first, first + MOST


def _svg(found: Array, right: Array | None) -> str:
    """Numbers over position, with a stem from the right number, or from zero, to each that is found."""
    from_ = np.zeros_like(found) if right is None else right
    finite = np.concatenate([one[np.isfinite(one)] for one in (found, from_)])
    low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    high = high if high > low else low + 1.0
    slot = (WIDTH - LEFT - EDGE) / len(found)

    def x(i: int) -> str:
        return _short(LEFT + slot * (i + 0.5))

    def y(value: float) -> str:
        return _short(HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (value - low) / (high - low))

    there = [i for i, value in enumerate(found) if np.isfinite(value)]
    lost = [i for i, value in enumerate(found) if not np.isfinite(value)]
    stems = "".join(f"M{x(i)} {y(from_[i])}V{y(found[i])}" for i in there if np.isfinite(from_[i]))
    ticks = "".join(
        f'<text x="{LEFT - 8:g}" y="{y(value)}">{value:.3g}</text>' for value in _apart((low, 0.0, high), high - low)
    )
    dots = [] if right is None else [_dots("right", ((x(i), y(v)) for i, v in enumerate(right) if np.isfinite(v)))]
    dots.append(_dots("faulty", ((x(i), y(found[i])) for i in there)))
    crosses = "".join(f'<text class="lost" x="{x(i)}" y="{EDGE:g}">&#215;</text>' for i in lost)
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="right and faulty numbers over position">'
        f'<path class="zero" d="M{LEFT:g} {y(0.0)}H{WIDTH - EDGE:g}"/>{ticks}<path class="stem" d="{stems}"/>'
        f"{''.join(dots)}{crosses}</svg>"
    )


def _dots(what: str, places: Iterable[tuple[str, str]]) -> str:
    """Round dots, as strokes without length."""
    return f'<path class="{what}" d="{"".join(f"M{x} {y}h0" for x, y in places)}"/>'


def _apart(values: Iterable[float], extent: float) -> list[float]:
    """Numbers of an axis, without those that would lie on another."""
    kept: list[float] = []
    for value in values:
        if all(abs(value - other) > extent / 8 for other in kept):
            kept.append(value)
    return kept


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
