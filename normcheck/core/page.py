"""Pages about an entry, a law or a fault: their type, and the section that every family's page has."""

from __future__ import annotations

from normcheck.core.spec import Entry

Section = tuple[str, tuple[str, ...]]
"""A heading, and its paragraphs; a paragraph that begins with four spaces is code and is not wrapped."""


def paper(entry: Entry) -> tuple[str, str]:
    """Source and address, as every family's page has them."""
    return f"{entry.paper}: {entry.paper.title}", entry.paper.url
