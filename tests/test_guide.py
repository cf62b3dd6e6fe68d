"""The guide and its site: its commands print what it shows, the site builds without a warning and opens offline."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from normcheck import families
from normcheck.core import contract
from normcheck.core.errors import UsageError
from normcheck.explain import pages, site
from normcheck.families import CHECKS_BY_NAME, FAULTS
from normcheck.pytest_plugin import report_options

ROOT = Path(__file__).parent.parent
GUIDE = {path.stem: path.read_text(encoding="utf-8") for path in sorted(site.GUIDE.glob("*.md"))}
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = ("index.html", "tutorial.html", "options.html", "verdicts.html", "kinds/layer_norm.html", "laws/index.html")


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a page, with the lines that it prints."""
    for block in re.findall(r"```\n(\$ .*?)\n```", text, re.DOTALL):
        first, *lines = block.splitlines()
        yield first.removeprefix("$ "), lines


@pytest.mark.parametrize("number", range(len(list(commands(GUIDE["tutorial"])))))
def test_the_tutorial_prints_what_it_shows(number: int, tmp_path: Path) -> None:
    for name, code in re.findall(r'```python title="(.*?)"\n(.*?)```', GUIDE["tutorial"], re.DOTALL):
        (tmp_path / name).write_text(code, encoding="utf-8")
    command, shown = list(commands(GUIDE["tutorial"]))[number]
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command), "-p", "no:cacheprovider"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    printed = iter(done.stdout.splitlines())
    assert shown[0] == shown[-1] == "..."
    for line in shown:
        assert line == "..." or line in printed, (line, done.stdout)


def test_every_page_of_the_guide_is_in_the_navigation() -> None:
    named = [name for _, names in site.NAVIGATION for name in names]

    assert sorted([*named, "index"]) == sorted(GUIDE)


def test_kinds_and_options_are_named() -> None:
    """Every kind of the catalog, every option and every contract key is in the guide."""
    text = "\n".join(GUIDE.values())
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "normcheck" / "pytest_plugin").glob("*.py"))
    options = {option for source in sources for option in re.findall(r'"(--norm-[a-z-]+)"', source)}
    forms = {f"--norm-{form}" for form in report_options.FORMS}
    for word in (*families.ENTRIES, *contract.CHOICES, *options, *forms):
        assert word in text, word


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 150
    for link in re.findall(r"\]\(([^)]*)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="pip install 'normcheck[docs]'")
    out = tmp_path_factory.mktemp("site")
    assert site.build(out) == len(GUIDE) + len(site.REFERENCE) + sum(map(len, pages.words().values()))
    return out


def test_the_site_has_a_page_for_everything(built: Path) -> None:
    for part, names in (("kinds", families.ENTRIES), ("laws", CHECKS_BY_NAME), ("faults", FAULTS)):
        for name in names:
            assert (built / part / f"{name}.html").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")

    with pytest.raises(UsageError, match="holds no site: name another folder"):
        site.build(tmp_path)


def test_markup_in_a_page_is_text() -> None:
    page = pages.Page("a*b: a law", (("law", ("y = w * x_0 <b>", "https://x.org/a_b", "    code * 2")),))

    assert site.markdown(page) == (
        "# a\\*b: a law\n\n## Law\n\ny = w \\* x\\_0 \\<b\\>\n\n<https://x.org/a_b>\n\n```\ncode * 2\n```\n"
    )


@pytest.fixture(scope="module")
def served(built: Path) -> Iterator[str]:
    """The address of the site on this machine."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(built))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_site_reads_well_and_needs_no_network(browser: Any, served: str) -> None:
    """Nothing is wider than the window, light or dark, no request leaves the machine, and the search finds a fault."""
    others: list[str] = []
    for width, scheme in product((1280, 390), ("light", "dark")):
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.on("request", lambda request: None if request.url.startswith(served) else others.append(request.url))
        for name in SHOWN:
            tab.goto(f"{served}/{name}")
            assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
    tab = browser.new_page()
    tab.goto(f"{served}/index.html")
    tab.keyboard.press("/")
    tab.keyboard.type("outputs-exchanged")
    # the search begins with the first letters: its results change while the word is typed
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(tab.locator(".md-search-result__link").first).to_have_attribute(
        "href", re.compile("faults/outputs-exchanged.html"), timeout=60_000
    )
    assert others == []
