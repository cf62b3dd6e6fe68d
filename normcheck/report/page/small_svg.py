"""Drawings of matplotlib in a tenth of their characters, since a page of forty implementations has eighty of them.

What has one style is one path, a round or square point is the cap of a line without length, and styles that several
drawings share become classes of the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree as ET

from markupsafe import escape

NAMESPACE = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"

ROUND, SQUARE = "round", "square"
"""Caps of a line that is drawn as a point."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The shape of a point around (0, 0): a path, or for a filled circle and a square the cap that draws it."""

    path: str
    cap: str = ""
    width: float = 0.0  # of the line whose cap it is


def small(text: str) -> str:
    """The elements of an SVG of matplotlib, in which no line needs to be cut at its axes, and groups have no style."""
    root = ET.fromstring(text)  # noqa: S314  # written by matplotlib
    markers = {
        str(path.get("id")): _marker(str(path.get("d"))) for path in root.iter(f"{NAMESPACE}path") if path.get("id")
    }
    paths: dict[str, list[str]] = {}
    words = []
    for one in _drawn(root):
        style = str(one.get("style"))
        if one.tag == f"{NAMESPACE}text":
            words.append(_words(one, style))
        elif one.tag == f"{NAMESPACE}use":
            marker = markers[str(one.get(LINK))[1:]]
            place = f"M{_number(one.get('x'))} {_number(one.get('y'))}"
            drawn = "h0" if marker.cap else _relative(marker.path)
            paths.setdefault(_point_style(style, marker), []).append(place + drawn)
        else:
            paths.setdefault(style, []).append(_path(str(one.get("d"))))
    return "\n".join([*(f'<path style="{style}" d="{"".join(own)}"/>' for style, own in paths.items()), *words])


def _drawn(element: ET.Element) -> Iterator[ET.Element]:
    """What is painted, in its order; definitions are not."""
    for one in element:
        if one.tag == f"{NAMESPACE}g":
            yield from _drawn(one)
        elif one.tag in (f"{NAMESPACE}path", f"{NAMESPACE}use", f"{NAMESPACE}text"):
            yield one


def _number(value: object) -> str:
    """A coordinate in tenths of a point.

    >>> _number("143.04"), _number("50.0")
    ('143', '50')
    """
    return f"{round(float(str(value)), 1):g}"


def _path(d: str) -> str:
    """A path without needless characters.

    >>> _path("M 50.0 143.04 L 50.0 36.2 z")
    'M50 143L50 36.2z'
    """
    short = re.sub(r"-?\d+(\.\d+)?", lambda number: _number(number[0]), " ".join(d.split()))
    return re.sub(r" ?([A-Za-z]) ?", r"\1", short)


def _relative(d: str) -> str:
    """A polygon around (0, 0) as steps from there.

    >>> _relative("M 0 -2 L -2 2 L 2 2 z")
    'm0 -2l-2 4l4 0z'
    """
    points = [(float(x), float(y)) for x, y in re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", " ".join(d.split()))]
    first = f"m{_number(points[0][0])} {_number(points[0][1])}"
    steps = (f"l{_number(b[0] - a[0])} {_number(b[1] - a[1])}" for a, b in pairwise(points))
    return first + "".join(steps) + "z"


def _marker(d: str) -> Marker:
    values = [abs(float(number)) for number in re.findall(r"-?\d+(?:\.\d+)?", d)]
    size = 2.0 * max(values)
    if "C" in d:
        return Marker(d, ROUND, size)
    corners = len(re.findall("[ML]", d))
    return Marker(d, SQUARE, size) if corners == 4 and len(set(values)) == 1 else Marker(d)


def _point_style(style: str, marker: Marker) -> str:
    """The style of a point: matplotlib fills it and draws its edge, which a cap of the same color does at once."""
    if not marker.cap:
        return style
    color = re.findall(r"stroke: ([^;]+)", style)[0]
    return f"fill: none; stroke: {color}; stroke-width: {marker.width + 1:g}; stroke-linecap: {marker.cap}"


def _words(text: ET.Element, style: str) -> str:
    turned = f' transform="{text.get("transform")}"' if text.get("transform") else ""
    place = "" if turned and text.get("x") is None else f' x="{_number(text.get("x"))}" y="{_number(text.get("y"))}"'
    return f'<text style="{style}"{place}{turned}>{escape("".join(text.itertext()))}</text>'


def with_classes(page: str) -> str:
    """The page with a class for each style in its drawings, and the rules of these classes in its style sheet."""
    names: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        return f'class="{names.setdefault(match[1], f"p{len(names)}")}"'

    def drawing(match: re.Match[str]) -> str:
        return re.sub(r'(?<=<(?:path|text) )style="([^"]*)"', named, match[0])

    drawn = re.sub(r"<svg .*?</svg>", drawing, page, flags=re.DOTALL)
    rules = "".join(f".plot .{name} {{ {style} }}\n" for style, name in names.items())
    return drawn.replace("</style>", f"{rules}</style>", 1)
