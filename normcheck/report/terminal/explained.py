"""A page of `normcheck explain`, and the index of all pages, as lines for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

LABEL_WIDTH = 14
"""Columns of the headings on the left."""

NAME_WIDTH = 30
"""Columns of the names in an index, with the space behind them; a longer name takes more."""


def lines(title: str, sections: Sequence[tuple[str, Sequence[str]]], width: int) -> Iterator[str]:
    """The lines of a page; none is longer than `width`, unless a single word is.

    sections: pairs of a heading and its paragraphs; a paragraph that begins with four spaces is not wrapped.
    """
    yield title
    yield "=" * min(len(title), width)
    for heading, paragraphs in sections:
        yield ""
        label = heading
        for text in paragraphs:
            for line in _filled(text, max(30, width - LABEL_WIDTH)):
                yield f"{label:<{LABEL_WIDTH}}{line}".rstrip()
                label = ""


def index_lines(title: str, pages: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """The lines of a group of an index, one for each page; none is longer than `width`. pages: names and gists."""
    yield title
    yield "=" * min(len(title), width)
    for name, gist in pages:
        label = f"{name} ".ljust(NAME_WIDTH)
        yield label + textwrap.shorten(gist, width - len(label), placeholder=" ...")


def _filled(text: str, width: int) -> list[str]:
    if text.startswith("    "):
        return [text[2:]]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
