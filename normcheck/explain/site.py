"""The documentation as a site of static files: the guide, and a page for every kind, law and fault.

MkDocs builds it, with the theme Material (`pip install 'normcheck[docs]'`). Any web server serves it, without a
network: its fonts are those of the reader's system, and its search runs in the browser. From a disk it opens too, but
browsers search no file there.
"""

from __future__ import annotations

import json
import logging
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.explain.reference import PAGES
from normcheck.explain.site_sources import REFERENCE, write

NAVIGATION: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Guide", ("tutorial", "targets", "conventions", "options", "verdicts", "projects")),
    ("In CI", ("integration", "long_searches")),
    ("Why", ("laws", "bounds", "gradcheck", "mean_constant", "activations")),
    ("Measurements", ("accuracy", "speed")),
    ("Beyond single layers", ("recurrent", "whitening", "processes", "networks")),
    ("About", ("testing", "limits")),
)
"""The pages of the guide, by the heading below which they stand."""


def _configuration(sources: Path, out: Path) -> dict[str, Any]:
    guide = [{heading: [f"{name}.md" for name in names]} for heading, names in NAVIGATION]
    reference = [*(f"{name}.md" for name in PAGES), *({title: f"{part}/index.md"} for part, title in REFERENCE.items())]
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
            "features": ["navigation.footer", "navigation.prune", "content.code.copy", "search.highlight"],
        },
        "plugins": ["search"],
        "markdown_extensions": ["tables", "pymdownx.highlight", "pymdownx.superfences", MATHEMATICS],
        "extra_css": ["site.css"],
        "hooks": [str(Path(__file__).with_name("site_events.py"))],
        "validation": {"omitted_files": "ignore", "anchors": "warn"},  # pages of the reference stand in its indexes
        "nav": ["index.md", *guide, {"Reference": reference}],
    }


MATHEMATICS = "normcheck.explain.mathematics"
"""The module, which Markdown imports: its libraries are those of the site."""


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
    if any(find_spec(name) is None for name in ("mkdocs", "material", "latex2mathml")):
        raise UsageError("the site is built by MkDocs: pip install 'normcheck[docs]'")
    if out.exists() and not (out.is_dir() and ((out / "sitemap.xml").exists() or not any(out.iterdir()))):
        raise UsageError(f"{out} exists and holds no site: name another folder")
    from mkdocs.commands.build import build as build_site  # noqa: PLC0415  # an extra, and slow to import
    from mkdocs.config import load_config  # noqa: PLC0415
    from mkdocs.exceptions import MkDocsException  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        sources = Path(folder) / "docs"
        write(sources)
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
