"""The guide and its site: its commands print what it shows, the site builds without a warning and opens offline."""

from __future__ import annotations

import json
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

import normcheck
from normcheck import cli, families
from normcheck.core import contract
from normcheck.core.errors import UsageError
from normcheck.explain import pages, reference, site, site_sources
from normcheck.families import CHECKS_BY_NAME, FAULTS
from normcheck.pytest_plugin import report_options

ROOT = Path(__file__).parent.parent
GUIDE = {path.stem: path.read_text(encoding="utf-8") for path in sorted(site_sources.GUIDE.glob("*.md"))}
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = (
    "index.html", "tutorial.html", "options.html", "verdicts.html", "kinds/recurrent_layer_norm_gru.html",
    "kinds/orthogonal_parametrization.html", "laws/index.html", "laws/gradient-sums.html", "faults/nan-leaks.html",
    "faults/statistics-of-first-call.html", "api.html", "command_line.html", "record.html",
)  # fmt: skip


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a page, with the lines that it prints."""
    for block in re.findall(r"```\n(\$ .*?)\n```", text, re.DOTALL):
        first, *lines = block.splitlines()
        yield first.removeprefix("$ "), lines


def written(page: str, folder: Path) -> None:
    """Write the files that a page shows."""
    for name, code in re.findall(r'```python title="(.*?)"\n(.*?)```', GUIDE[page], re.DOTALL):
        (folder / name).write_text(code, encoding="utf-8")


BEYOND = ("independence_of_batch", "independence_of_length")
"""Columns of the extended table that the page of recurrent nets has."""

EXECUTED = ("tutorial", "laws", "bounds", "gradcheck", "mean_constant", "activations")
"""Pages all of whose commands are run here."""

NOISE = ("bounds",)
"""Pages that show the size of rounding errors: it follows the order of summation, in which processors differ."""


@pytest.mark.parametrize(
    ("page", "number"), [(page, i) for page in EXECUTED for i in range(len(list(commands(GUIDE[page]))))]
)
def test_the_guide_prints_what_it_shows(page: str, number: int, tmp_path: Path) -> None:
    """A command prints the lines that are shown; where some are left out, an ellipsis stands."""
    written(page, tmp_path)
    command, shown = list(commands(GUIDE[page]))[number]
    script = command.startswith("python ")
    words = shlex.split(command)[1:] if script else ["-m", *shlex.split(command), "-p", "no:cacheprovider"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)

    if script and page in NOISE:
        numbers = [[float(one) for one in re.findall(r"\d+", text)] for text in ("\n".join(shown), done.stdout)]
        assert [re.sub(r"\s+|\d+", " ", line).split() for line in shown] == [
            re.sub(r"\s+|\d+", " ", line).split() for line in done.stdout.splitlines()
        ], done.stderr
        assert all(one / 2 <= other <= 2 * one for one, other in zip(*numbers, strict=True)), done.stdout
    elif script:
        assert shown == done.stdout.splitlines(), done.stderr
    else:
        printed = iter(done.stdout.splitlines())
        assert shown[0] == shown[-1] == "..."
        for line in shown:
            assert line == "..." or line in printed, (line, done.stdout)


def test_the_picture_of_the_drift_is_drawn_by_its_command(tmp_path: Path) -> None:
    written("mean_constant", tmp_path)
    subprocess.run([sys.executable, "drift.py"], cwd=tmp_path, capture_output=True, check=True)
    curves = [re.findall(r'<path d="(M [^"]*)" clip-path', path.read_text(encoding="utf-8"))
              for path in (tmp_path / "drift.svg", site_sources.GUIDE / "drift.svg")]  # fmt: skip

    assert len(curves[0]) == 4
    assert curves[0] == curves[1]


def test_the_recurrent_forms_are_compared_as_they_are() -> None:
    """The table of the page is that of the catalog, which the checks of the family ask of every net."""
    family = families.of(families.get("recurrent_layer_norm"))
    rows = {entry.name: [*family.row(entry).cells, *(family.extended(entry)[name] for name in BEYOND)]
            for entry in family.entries}  # fmt: skip
    shown = {name: [cell.strip() == "yes" for cell in cells.split("|")]
             for name, cells in re.findall(r"^\| `(\w+)` \| (.*) \|$", GUIDE["recurrent"], re.MULTILINE)}  # fmt: skip

    assert shown == rows


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
    prose = re.sub("^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)]*)\)", prose):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def pictures_of_some() -> dict[str, str]:
    """Those of one in twelve faults of each family: to draw all takes a minute."""
    drawn = dict.fromkeys(FAULTS, "")
    for i, family in enumerate(families.FAMILIES):
        drawn |= site_sources.drawn(i, tuple(family.faults)[::12])
    return drawn


@pytest.fixture(
    scope="module", params=[pytest.param(False, id="some"), pytest.param(True, id="all", marks=pytest.mark.sweep)]
)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, with pictures of some faults, or of all."""
    pytest.importorskip("material", reason="pip install 'normcheck[docs]'")
    out = tmp_path_factory.mktemp("site")
    generated = len(site_sources.REFERENCE) + len(reference.PAGES)
    with pytest.MonkeyPatch.context() as patch:
        if not request.param:
            patch.setattr(site_sources, "pictures", pictures_of_some)
        assert site.build(out) == len(GUIDE) + generated + sum(map(len, pages.words().values()))
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
    page = pages.Page("a*b: a law", (("source", ("y = w * x_0 <b> $", "https://x.org/a_b", "    code * 2")),))

    assert site_sources.markdown(page) == (
        "# a\\*b: a law\n\n## Source\n\ny = w \\* x\\_0 &lt;b\\> \\$\n\n<https://x.org/a_b>\n\n```\ncode * 2\n```\n"
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


SIZES = """[...document.querySelectorAll('math, mfrac, msqrt')].map(e => e.getBoundingClientRect())
    .map(box => Math.min(box.width, box.height))"""
PROSE = "document.querySelectorAll('pre, code').forEach(e => e.remove()), document.querySelector('article').innerText"


def test_formulas_are_laid_out(browser: Any, served: str) -> None:
    """A formula has a size and is no text with dollars or backslashes: on a kind, a law and an explanation."""
    tab = browser.new_page()
    tab.goto(f"{served}/kinds/layer_norm.html")
    assert tab.locator("mfrac msqrt").count() == 1
    for name in ("kinds/layer_norm", "laws/gradient-sums", *(page for page in EXECUTED if "$$" in GUIDE[page])):
        tab.goto(f"{served}/{name}.html")
        sizes = tab.evaluate(SIZES)
        assert sizes, name
        assert min(sizes) > 5, name
        prose = tab.evaluate(PROSE)
        assert not re.search(r"[$\\]", prose), (name, re.findall(r".*[$\\].*", prose))


def test_every_picture_of_a_fault_is_small_and_drawn(built: Path, browser: Any, served: str) -> None:
    """A page of a fault has a picture below 6 kB, or the sentence why not; the marks have a color in both schemes."""
    pages_of_faults = [path.read_text(encoding="utf-8") for path in (built / "faults").glob("*-*.html")]
    pictures = [found[0] for text in pages_of_faults if (found := re.search("<svg viewBox=.*?</svg>", text))]

    assert len(pages_of_faults) == len(FAULTS)
    drawn = [text for text in pages_of_faults if '<h2 id="what-it-does">' in text]
    assert len(drawn) in (len(FAULTS), sum(map(bool, pictures_of_some().values())))
    assert len(drawn) - len(pictures) == sum("No picture: the law" in text for text in drawn) < 40
    assert max(map(len, pictures)) < 6000
    for scheme in ("light", "dark"):
        tab = browser.new_page(color_scheme=scheme)
        tab.goto(f"{served}/faults/eps-outside-root.html")
        colors = tab.evaluate(
            "['right', 'faulty'].map(c => getComputedStyle(document.querySelector(`figure path.${c}`)).stroke)"
        )
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert len({*colors, ground}) == 3


def test_the_site_is_not_large(built: Path) -> None:
    assert sum(path.stat().st_size for path in built.rglob("*") if path.is_file()) < 25_000_000


def test_the_reference_of_the_command_line_is_complete() -> None:
    """Every option of the plugin and every key of its ini table, each with what it does; every command."""
    text = reference.command_line()
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "normcheck" / "pytest_plugin").glob("*.py")]
    options = {option for source in sources for option in re.findall(r'"(--norm[a-z-]*)"', source)}
    options |= {f"--norm-{form}" for form in report_options.FORMS}
    keys = {key for source in sources for key in re.findall(r'addini\(\s*f?"([a-z_]+)"', source)}

    assert sorted(options) == sorted(re.findall(r"^\| `(--norm[a-z-]*)", text, re.MULTILINE))
    assert keys <= set(re.findall(r"^\| `(norm[a-z_]*)` \|", text, re.MULTILINE))
    assert not re.search(r"^\|[^|]*\|\s*\|$", text, re.MULTILINE), "an option says nothing"
    for command in cli.COMMANDS:
        assert f"normcheck {command}" in text


def test_the_reference_of_the_record_is_complete() -> None:
    """Every property of the schema, at any depth."""
    text = reference.record()
    schema = json.loads((ROOT / "normcheck" / "report" / "schema.json").read_text(encoding="utf-8"))

    def properties(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from part.get("properties", {})
        for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from properties(inner)

    named = re.findall(r"^\| `([\w.]+)`", text, re.MULTILINE)
    assert sorted(name.rpartition(".")[2] for name in named) == sorted(properties(schema))
    assert [name for name in schema["$defs"] if f"\n## {name}\n" not in text] == []


def test_the_reference_of_the_api_is_complete() -> None:
    """Every public name with its documentation, and every public function and property of a class."""
    text = reference.api()
    parts = dict(re.findall(r"\n##+ (\S+)\n\n(.*?)(?=\n##|\Z)", text, re.DOTALL))

    for name in normcheck.__all__:
        assert parts[name.replace("_", "\\_") if name.startswith("_") else name].strip()
    for name in ("Verdict.to_json", "Verdict.plot", "Verdict.raise_for_findings", "Framework.formats"):
        assert name in parts
    assert [name for name, said in parts.items() if not re.sub("```.*?```", "", said, flags=re.DOTALL).strip()] == []


def test_the_site_reads_well_and_needs_no_network(browser: Any, served: str) -> None:
    """Nothing is wider than the window, light or dark, no request leaves the machine, and the search finds a fault."""
    others: list[str] = []
    for width, scheme in product((1280, 390), ("light", "dark")):
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.on("request", lambda request: None if request.url.startswith(served) else others.append(request.url))
        for name in (
            SHOWN if width > 390 else {**dict.fromkeys(SHOWN), **dict.fromkeys(f"{page}.html" for page in GUIDE)}
        ):
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
