"""The documentation as a site of static files: the guide, and a page for every kind, law and fault.

MkDocs builds it, with the theme Material (`pip install 'normcheck[docs]'`). Any web server serves it, without a
network: its fonts are those of the reader's system, and its search runs in the browser. From a disk it opens too, but
browsers search no file there.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.page import Section
from normcheck.explain import pages

GUIDE = Path(__file__).parent / "guide"
NAVIGATION: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Guide", ("tutorial", "targets", "conventions", "options", "verdicts", "projects")),
    ("In CI", ("integration", "long_searches")),
    ("Measurements", ("accuracy", "speed")),
    ("Beyond single layers", ("recurrent", "whitening", "processes", "networks")),
    ("About", ("testing", "limits")),
)
"""The pages of the guide, by the heading below which they stand."""

REFERENCE = {
    "kinds": "Kinds", "laws": "Laws", "faults": "Known faults", "topics": "Topics", "conventions": "Conventions",
}  # fmt: skip
"""The parts of the reference, each a folder, and their titles."""

_MARKED = str.maketrans({char: f"\\{char}" for char in "\\*_[]<>#|"})
"""Characters that Markdown would read as markup."""


def markdown(page: pages.Page) -> str:
    """A page of the reference in Markdown; paragraphs that begin with four spaces are code."""
    return "\n".join([f"# {page.title.translate(_MARKED)}", *(_section(section) for section in page.sections)]) + "\n"


def _section(section: Section) -> str:
    heading, paragraphs = section
    return "\n".join(["", f"## {heading[:1].upper()}{heading[1:].translate(_MARKED)}", *_paragraphs(paragraphs)])


def _paragraphs(paragraphs: Sequence[str]) -> Iterator[str]:
    code = False
    for text in paragraphs:
        if text.startswith("    ") != code:
            code = not code
            yield "\n```" if code else "```"
        if code:
            yield text[4:]
        else:
            yield "\n" + (f"<{text}>" if text.startswith("https://") else text.translate(_MARKED))
    if code:
        yield "```"


def _write_sources(folder: Path) -> None:
    """Write every page in Markdown: the guide as it is, the reference from the catalog."""
    shutil.copytree(GUIDE, folder)
    for part in pages.PARTS:
        (folder / part.name).mkdir()
        lines = [f"# {REFERENCE[part.name]}", ""]
        for name in part.names():
            page = part.page(name)
            (folder / part.name / f"{name}.md").write_text(markdown(page), encoding="utf-8")
            lines.append(f"* [{name.translate(_MARKED)}]({name}.md){_gist(page)}")
        (folder / part.name / "index.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _gist(page: pages.Page) -> str:
    """What an index says of a page: its first sentence."""
    title = page.title.partition(": ")[2]
    text = title if title not in {"a law", "a fault", "a convention"} else page.sections[0][1][0]
    return f": {text.translate(_MARKED)}"


def _configuration(sources: Path, out: Path) -> dict[str, Any]:
    guide = [{heading: [f"{name}.md" for name in names]} for heading, names in NAVIGATION]
    reference = [{title: f"{part}/index.md"} for part, title in REFERENCE.items()]
    return {
        "site_name": "normcheck",
        "docs_dir": str(sources),
        "site_dir": str(out),
        "use_directory_urls": False,  # so that links work from a disk
        "strict": True,  # a warning, as of a link to nothing, is an error
        "theme": {
            "name": "material",
            "font": False,
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate"},
            ],
            "features": ["navigation.footer", "content.code.copy", "search.highlight"],
        },
        "plugins": ["search"],
        "markdown_extensions": ["tables", "pymdownx.highlight", "pymdownx.superfences"],
        "validation": {"omitted_files": "ignore"},  # pages of the reference stand in its indexes
        "nav": ["index.md", *guide, {"Reference": reference}],
    }


class _Warnings(logging.Handler):
    """Keeps what MkDocs warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def build(out: Path) -> int:
    """Build the site into a folder, and return the number of its pages.

    Raises `UsageError` if MkDocs is not installed, if the folder holds something else than a site, or if it cannot be
    written.
    """
    if find_spec("mkdocs") is None or find_spec("material") is None:
        raise UsageError("the site is built by MkDocs: pip install 'normcheck[docs]'")
    if out.exists() and not (out.is_dir() and ((out / "sitemap.xml").exists() or not any(out.iterdir()))):
        raise UsageError(f"{out} exists and holds no site: name another folder")
    from mkdocs.commands.build import build as build_site  # noqa: PLC0415  # an extra, and slow to import
    from mkdocs.config import load_config  # noqa: PLC0415
    from mkdocs.exceptions import MkDocsException  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        sources = Path(folder) / "docs"
        _write_sources(sources)
        warned = _Warnings()
        logging.getLogger("mkdocs").addHandler(warned)
        try:
            build_site(load_config(config_file=_file(Path(folder), sources, out)))
        except (MkDocsException, OSError) as error:
            why = "; ".join([str(error), *warned.texts])
            raise UsageError(f"the site could not be built into {out}: {why}") from error
        finally:
            logging.getLogger("mkdocs").removeHandler(warned)
        return sum(1 for _ in sources.rglob("*.md"))


def _file(folder: Path, sources: Path, out: Path) -> str:
    """The configuration as a file, which is JSON and so YAML too."""
    path = folder / "mkdocs.yml"
    path.write_text(json.dumps(_configuration(sources, out.absolute())), encoding="utf-8")
    return str(path)
