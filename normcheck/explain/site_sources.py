"""The pages of the site in Markdown: the guide as it is, the reference from the catalog."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from normcheck import families
from normcheck.core.page import Section
from normcheck.explain import pages, reference
from normcheck.explain.fault_cases import fault_cases
from normcheck.explain.fault_picture import figure
from normcheck.explain.formulas import pieces

GUIDE = Path(__file__).parent / "guide"

REFERENCE = {
    "kinds": "Kinds", "laws": "Laws", "faults": "Known faults", "topics": "Topics", "conventions": "Conventions",
    "card": "Words of the card",
}  # fmt: skip
"""The parts of the reference that are folders, and their titles."""

IN_MATHEMATICS = ("formula", "law")
"""Sections that begin with a formula."""

OF_KINDS = ("asked of", "can befall")
"""Sections that list kinds."""

AT_A_TIME = 30
"""Faults that one process draws before it takes others."""

MARKUP = str.maketrans({**{char: f"\\{char}" for char in "\\*_[]>#|$"}, "<": "&lt;"})
"""Characters that Markdown would read as markup."""


def markdown(page: pages.Page, picture: str = "") -> str:
    """A page of the reference in Markdown; paragraphs that begin with four spaces are code.

    picture: a section in HTML, which stands behind the first.
    """
    first, *others = map(_section, page.sections)
    shown = [f"\n## What it does\n\n{picture}"] if picture else []
    return "\n".join([f"# {page.title.translate(MARKUP)}", first, *shown, *others]) + "\n"


def _section(section: Section) -> str:
    heading, paragraphs = section
    shown = [_formula(paragraphs[0])] if heading in IN_MATHEMATICS else []
    rest = paragraphs[len(shown) :]
    if heading in OF_KINDS:
        return "\n".join(["", f"## {heading[:1].upper()}{heading[1:]}", *(f"\n{_linked(text)}" for text in rest)])
    return "\n".join(["", f"## {heading[:1].upper()}{heading[1:].translate(MARKUP)}", *shown, *_paragraphs(rest)])


def _linked(text: str) -> str:
    """Text in which each kind is a link to its page."""
    return re.sub(r"\w+", lambda word: _kind(word[0]), text)


def _kind(word: str) -> str:
    said = word.translate(MARKUP)
    return f"[{said}](../kinds/{word}.md)" if word in families.ENTRIES else said


def _formula(text: str) -> str:
    """A formula with its mathematics between dollars."""
    said = (f"$\\displaystyle {p.text}$" if p.mathematics else p.text.translate(MARKUP) for p in pieces(text))
    return "\n" + "".join(said)


def _paragraphs(paragraphs: Sequence[str]) -> Iterator[str]:
    code = False
    for text in paragraphs:
        if text.startswith("    ") != code:
            code = not code
            yield "\n```" if code else "```"
        if code:
            yield text[4:]
        else:
            yield "\n" + (f"<{text}>" if text.startswith("https://") else text.translate(MARKUP))
    if code:
        yield "```"


def write(folder: Path) -> None:
    """Write every page of the site into a new folder. Faults are drawn by all processors, in half a minute on two."""
    shutil.copytree(GUIDE, folder)
    shown = pictures()
    for part in pages.PARTS:
        (folder / part.name).mkdir()
        lines = [f"# {REFERENCE[part.name]}", ""]
        for name in part.names():
            page = part.page(name)
            text = markdown(page, shown[name] if part.name == "faults" else "")
            (folder / part.name / f"{name}.md").write_text(text, encoding="utf-8")
            lines.append(f"* [{name.translate(MARKUP)}]({name}.md): {part.gist(name).translate(MARKUP)}")
        (folder / part.name / "index.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, generated in reference.PAGES.items():
        (folder / f"{name}.md").write_text(generated(), encoding="utf-8")


def pictures() -> dict[str, str]:
    """What each fault does to numbers, drawn from the faulty implementation."""
    parts = [
        (i, tuple(family.faults)[first : first + AT_A_TIME])
        for i, family in enumerate(families.FAMILIES)
        for first in range(0, len(family.faults), AT_A_TIME)
    ]
    # a process of its own for each part, since a fork of one that has threads, as torch has, may hang
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 8), multiprocessing.get_context("spawn")) as pool:
        found = pool.map(drawn, *zip(*parts, strict=True))
        return {name: picture for part in found for name, picture in part.items()}


def drawn(family: int, names: Sequence[str]) -> dict[str, str]:
    """The pictures of some faults of a family."""
    return {name: figure(case) for name, case in fault_cases(families.FAMILIES[family], names).items() if case}
