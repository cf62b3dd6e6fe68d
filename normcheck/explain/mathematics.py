r"""Mathematics of the site: LaTeX between dollars becomes MathML while the site is built.

Browsers lay out MathML themselves, so a page needs no script, no font and no network, and a formula is text that is
read aloud, searched and copied. `$x$` stands in a line, `$$x$$` in a line of its own, `\$` is a dollar.
"""

from __future__ import annotations

from re import Match
from typing import Any

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor

IN_LINE = r"(?<![\\$])\$(?=[^\s$])(?P<latex>[^$]+?)(?<=[^\s\\])\$(?![$\d])"
APART = r"(?<![\\$])\$\$(?P<latex>[^$]+?)\$\$"
BEFORE_ESCAPES, BEHIND_CODE = 186, 189
"""Priorities of Markdown: code is taken out at 190, a backslash at 180."""


class _Formula(InlineProcessor):
    def __init__(self, pattern: str, md: Markdown, display: str) -> None:
        super().__init__(pattern, md)
        self.display = display

    def handleMatch(self, m: Match[str], data: str) -> tuple[str, int, int]:  # noqa: N802  # the name that Markdown calls
        return self.md.htmlStash.store(convert(m["latex"], display=self.display)), m.start(), m.end()


class Mathematics(Extension):
    """Replaces LaTeX between dollars."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802  # the name that Markdown calls
        """Add both forms, and the dollar to what a backslash escapes."""
        md.ESCAPED_CHARS.append("$")
        md.inlinePatterns.register(_Formula(APART, md, "block"), "formula-apart", BEHIND_CODE)
        md.inlinePatterns.register(_Formula(IN_LINE, md, "inline"), "formula-in-line", BEFORE_ESCAPES)


def makeExtension(**options: Any) -> Mathematics:  # noqa: N802  # the name that Markdown calls
    """The extension, as Markdown asks a module for it."""
    return Mathematics(**options)
