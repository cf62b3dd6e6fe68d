"""Help pages about an entry, a law or a fault: the type of a section, and the section that all families share."""

from __future__ import annotations

from normcheck.core.spec import Entry

Section = tuple[str, tuple[str, ...]]
"""A heading and its paragraphs; a paragraph that begins with four spaces is code and is not wrapped."""


def paper(entry: Entry) -> tuple[str, str]:
    """The paper of an entry as two paragraphs: citation with title, and URL."""
    return f"{entry.paper}: {entry.paper.title}", entry.paper.url
