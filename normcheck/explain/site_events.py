"""What MkDocs calls while it builds the site, to leave out bytes that no reader needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

UNUSED = ("*.map", "lunr/wordcut.js", "lunr/tinyseg.js", "lunr/min/*.js")
"""Assets of the theme for its own development, and for searches in languages that the site is not written in."""

AS_IT_IS = re.compile(r"(<pre.*?</pre>)", re.DOTALL)


def on_post_page(output: str, **others: Any) -> str:
    """A page without the indentation of its template, which is a seventh of its bytes; code stays as it is."""
    return "".join(part if i % 2 else re.sub(r"\n\s+", "\n", part) for i, part in enumerate(AS_IT_IS.split(output)))


def on_post_build(config: Any, **others: Any) -> None:
    """Remove what is not used."""
    for pattern in UNUSED:
        for path in sorted(Path(config["site_dir"]).glob(f"assets/**/{pattern}")):
            path.unlink()
