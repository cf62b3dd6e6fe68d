"""The page of a run: what it holds, and how it behaves in a browser."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from normcheck.core.errors import UsageError
from normcheck.engine import verdict
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.report import files
from normcheck.report.page import html, plots
from normcheck.report.page.small_svg import small

EVIL_TITLE = "taken"


def page(document: dict[str, Any]) -> str:
    return html.text(document, Path("run.html"), Path())


@pytest.fixture(scope="module")
def written(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "run.html"
    files.write(document, "html", path, Path())
    return path


def test_a_page_reaches_for_nothing(written: Path) -> None:
    text = written.read_text()
    inside = re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)
    links = re.findall(r'(?:src|href)="([^"]*)"', re.sub(r"&#?\w+;", "", inside))

    assert [link for link in links if not link.startswith("#")] == []
    assert "url(" not in text
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in text.replace("&#39;", "'")


def test_ids_are_unique_and_every_reference_has_its_own(written: Path) -> None:
    text = written.read_text()
    ids = re.findall(r'<[^>]* id="([^"]*)"', text)
    used = re.findall(r'href="#([^"]*)"', text)

    assert used
    assert len(ids) == len(set(ids))
    assert set(used) <= set(ids)


def test_text_of_user_code_is_escaped(written: Path) -> None:
    text = written.read_text()

    assert text.count("<script>") == 1
    assert "<img" not in text
    assert "{{7*7}}" in text
    assert "49" not in re.findall(r"\$\{?(\d+)", text)


def test_every_finding_has_its_witness_and_reproduction(document: dict[str, Any], written: Path) -> None:
    text = written.read_text()
    findings = [f for one in document["implementations"] for f in one["findings"]]

    assert findings
    assert text.count('<details class="finding">') == len(findings)
    assert all(f["replay"] in text for f in findings)
    assert text.count("without normcheck") == len(findings)
    assert text.count("<h4>") == sum(len(one["causes"]) for one in document["implementations"]) == 1
    assert f"<h4>one-pass-variance, {len(findings)} laws</h4>" in text


def test_a_cause_shows_the_wrong_line_beside_the_right_one(document: dict[str, Any], written: Path) -> None:
    (cause,) = (cause for one in document["implementations"] for cause in one["causes"])
    (shown,) = re.findall(r'<div class="sides">(.*?)</div></div>', written.read_text(), flags=re.DOTALL)

    assert cause["wrong"] == ["var = (h * h).mean(-1, keepdim=True) - mean * mean"]
    assert re.findall(r"<pre[^>]*>(.*?)</pre>", shown, flags=re.DOTALL) == [cause["wrong"][0], cause["right"]]


def test_the_matrix_counts_the_laws_of_each_topic_and_leads_to_them(document: dict[str, Any], written: Path) -> None:
    text = written.read_text()
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", text[text.index('class="matrix"') :].partition("</table>")[0])[1:]

    for one, row in zip(document["implementations"], rows, strict=True):
        asked = [status for own in one["laws"].values() for status in own.values() if status != "skipped"]
        counts = [found.split(" of ") for found in re.findall(r">([\d of]+)</a></td>", row)]
        assert sum(int(found[-1]) for found in counts) == len(asked)
        assert sum(int(found[0]) for found in counts if len(found) == 2) == sum(one != "passed" for one in asked)
        assert {status: sum(own.count(status) for own in [[*o.values()] for o in one["laws"].values()])
                for status in one["checks"]} == one["checks"]  # fmt: skip
        assert all(f'id="{place}"' in text for place in re.findall(r'<td[^>]*><a href="#([^"]*)"', row))


def lines_in(drawing: str, color: str) -> int:
    """How many lines a drawing has in a color; all of one style are one path."""
    paths = re.findall(r'<path style="([^"]*)" d="([^"]*)"', drawing)
    return sum(d.count("M") for style, d in paths if f"stroke: {color}" in style)


def test_accuracy_has_a_panel_for_each_format() -> None:
    """With a line of a variance in one pass where there is a variance, and the bound in red where it decides."""
    points = {"condition": [[1.0, 0.2], [1024.0, 30.0], [4096.0, "inf"]], "width": [[4, 0.2]]}
    curves = {"forward float32": points, "backward float32": points, "forward float16": points}
    formats = ["float64", "float32", "float16"]
    plain = plots.accuracy(curves, {}, formats, "a")
    compared = plots.accuracy(curves | {"one-pass float32": points}, {"forward float16": "half"}, formats, "a")

    assert [plain.count(f">{title}<") for title in (*formats, plots.COMPARED)] == [0, 1, 1, 0]
    assert [compared.count(f">{title}<") for title in ("float32", "float16 (half)", plots.COMPARED)] == [1, 1, 1]
    assert (lines_in(plain, "var(--bad)"), lines_in(compared, "var(--bad)")) == (4, 2)
    assert plots.accuracy({}, {}, formats, "a") == ""


def test_a_variance_in_one_pass_loses_its_digits_with_the_square_of_the_condition(document: dict[str, Any]) -> None:
    curves = document["implementations"][0]["curves"]
    drawn = {place: dict(curve["condition"]) for place, curve in curves.items() if place.startswith("one-pass")}
    assert drawn
    for curve in drawn.values():
        hard, easy = max(curve), min(curve)
        assert curve[hard] > curve[easy]


def test_a_cell_of_the_matrix_opens_the_laws(opened: Any) -> None:
    laws = opened.locator("section[data-i='1'] details.laws")
    assert laws.get_attribute("open") is None
    opened.locator("tr[data-of='1'] td.failed a").first.click()
    assert laws.get_attribute("open") is not None


def test_plots_use_the_colors_of_the_page(written: Path) -> None:
    drawings = re.findall(r"<svg.*?</svg>", written.read_text(), flags=re.DOTALL)

    assert len(drawings) == 4
    assert not re.search(
        r"#[0-9a-f]{6}\b", "".join(re.sub(r'(id|xlink:href)="[^"]*"|url\([^)]*\)', "", d) for d in drawings)
    )
    assert all('role="img" aria-label="' in d for d in drawings)


def entry(value: float, part: str) -> dict[str, Any]:
    """One line of speed, as far as the page reads it."""
    cast = {"kind": "cast", "operator": "aten::to", "pass": "forward", "from": "float32", "to": "float64"}
    return {
        "sets": 512, "n": 768, "pass": part, "format": "float32", "cache": "warm", "seconds": 1.5e-4,
        "ratio": {"value": value, "low": value - 0.02, "high": value + 0.02, "repetitions": 8},
        "typical": {"value": value}, "baseline": "fused",
        "beside": {"eager": {"value": 0.4, "low": 0.39, "high": 0.41, "repetitions": 8}}, "verdict": "measured",
        "reason": "", "bandwidth": {"share": 0.42, "level": "L2", "verdict": "within"},
        "memory": {"ratio": 2.0, "extras": [cast | {"full": True, "count": 2}]},
    }  # fmt: skip


def test_a_record_without_curves_and_with_times_has_a_page(document: dict[str, Any]) -> None:
    run = deepcopy(document)
    for one in run["implementations"]:
        for key in ("curves", "gradient_shares", "accuracy", "expected", "tightest"):
            del one[key]
    run["implementations"][0]["speed"] = [entry(1.25, "forward"), entry(0.5, "<b>&$x$")]
    sizes, times = [16, 32, 64, 128, 256, 512], [1e-6, 2e-6, 4e-6, 8e-6, 16e-6, 32e-6]
    fit = {
        "sizes": sizes,
        "values": times,
        "exponent": 1.0,
        "low": 0.9,
        "high": 1.1,
        "jumps": [],
        "verdict": "linear",
        "reason": "",
    }
    run["implementations"][0]["growth"] = [
        {"over": over, "fixed": 16, "pass": "forward", "time": fit, "memory": fit, "floor": [t / 2 for t in times]}
        for over in ("width", "rows")
    ]
    text = page(run)

    assert "1.25 [1.23, 1.27] of fused" in text
    assert "0.40 of eager" in text
    assert "150.0" in text
    assert "42 % of L2" in text
    assert "2 cast by aten::to from float32 to float64 in its forward" in text
    assert "&lt;b&gt;&amp;$x$" in text
    assert "forward takes width^1.00 [0.90, 1.10]; holds width^1.00: linear" in text
    assert "forward takes rows^1.00 [0.90, 1.10]; holds rows^1.00: linear" in text
    assert "what memory allows" in text
    assert "sets of 16 entries" in text
    assert text.count("<svg") == 4


def test_the_same_run_gives_the_same_page(document: dict[str, Any]) -> None:
    assert page(document) == page(deepcopy(document))


def test_a_missing_library_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(UsageError, match=r"needs jinja2 and matplotlib: pip install 'normcheck\[report\]'"):
        files.require_libraries("html")


# In a browser


@pytest.fixture
def opened(browser: Any, written: Path) -> Iterator[Any]:
    """The page, which may not have said anything to the console by the end of the test."""
    said: list[str] = []
    tab = browser.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
    tab.goto(written.as_uri())
    yield tab
    tab.close()
    assert said == []


def shown(tab: Any) -> list[str]:
    return [s.get_attribute("data-verdict") for s in tab.query_selector_all("section") if s.is_visible()]


def test_hostile_names_are_shown_and_do_nothing(opened: Any) -> None:
    assert opened.title() != EVIL_TITLE
    assert opened.locator("section h2").nth(1).text_content().startswith("layer_norm = </script><script>document.title")
    assert opened.evaluate("document.querySelectorAll('img').length") == 0


def test_filters_by_verdict_kind_and_name(opened: Any) -> None:
    assert shown(opened) == ["passed", "failed", "error"]
    opened.uncheck("input[value=passed]")
    assert shown(opened) == ["failed", "error"]
    assert opened.locator("tr[data-of='0']").first.is_hidden()
    assert opened.locator("#shown").inner_text() == "2 of 3 shown"
    opened.select_option("#kind", "rms_norm")
    assert shown(opened) == ["error"]
    opened.select_option("#kind", "")
    opened.fill("#text", "SCRIPT")
    assert shown(opened) == ["failed"]


def test_the_keyboard_reaches_everything(opened: Any) -> None:
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.className") == "skip"
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.activeElement.id") == "verdicts"
    summary = opened.locator("summary").first
    summary.focus()
    opened.keyboard.press("Enter")
    assert opened.locator("details").first.get_attribute("open") is not None


def test_every_control_and_picture_has_a_name_for_a_screen_reader(opened: Any) -> None:
    nameless = opened.evaluate(
        """() => Array.from(document.querySelectorAll('input, select, button, svg[role=img], [role=region], section'))
        .filter(e => !(e.closest('label') || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
                       || e.textContent.trim())).map(e => e.outerHTML.slice(0, 80))"""
    )

    assert nameless == []
    assert opened.evaluate("document.documentElement.lang") == "en"
    assert opened.locator("h1").count() == 1


def test_a_reproduction_is_copied(opened: Any, document: dict[str, Any]) -> None:
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.click("#open")
    opened.locator(".copy").first.click()
    opened.locator(".copy", has_text="copied").wait_for()

    telling = next(cause["finding"] for one in document["implementations"] for cause in one["causes"])
    assert opened.evaluate("navigator.clipboard.readText()") == telling["replay"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page(browser: Any, written: Path, scheme: str) -> None:
    """Contrast of 4.5 at least, as the guidelines for accessible pages ask of text."""
    tab = browser.new_page(color_scheme=scheme)
    tab.goto(written.as_uri())
    colors = tab.evaluate(
        """() => ['body', '.quiet, .law, dt', 'a[href^="#i"]', '.passed', '.failed', 'figcaption'].map(s => {
            const own = getComputedStyle(document.querySelector(s)).color;
            return [own, getComputedStyle(document.body).backgroundColor]})"""
    )
    tab.close()

    def light(color: str) -> float:
        parts = [int(n) / 255 for n in re.findall(r"\d+", color)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for text, ground in colors:
        high, low = sorted((light(text), light(ground)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
    assert (light(colors[0][1]) > 0.5) == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_never_scrolls_sideways(browser: Any, written: Path, width: int, scheme: str) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab.goto(written.as_uri())
    tab.click("#open")
    tab.add_style_tag(content="section { content-visibility: visible !important }")  # which would cut what sticks out
    found = tab.evaluate("document.documentElement.scrollWidth")
    beyond = tab.evaluate(
        """() => Array.from(document.querySelectorAll('body *')).filter(e => !e.closest('.wide, figure, pre, .skip'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    )
    tab.close()

    assert found <= width
    assert beyond == []


def test_on_paper_every_finding_is_open_and_no_control_is_left(browser: Any, written: Path) -> None:
    tab = browser.new_page()
    tab.goto(written.as_uri())
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")

    assert tab.locator("details:not([open])").count() == 0
    assert not tab.is_visible("#filters")
    assert not tab.locator(".copy").first.is_visible()
    assert len(tab.pdf()) > 10_000
    tab.close()


def test_without_scripts_the_page_still_says_everything(browser: Any, written: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(written.as_uri())

    assert tab.locator("section").count() == 3
    assert not tab.is_visible("#filters")
    context.close()


def test_thirty_implementations_fit_in_three_megabytes(browser: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """All of them broken, with forty findings each. How fast it opens is measured, and said in the README."""
    run = deepcopy(document)
    broken = run["implementations"][1]
    broken["findings"] = (broken["findings"] * 40)[:40]
    for finding in broken["findings"]:
        finding["script"] = ["x" * 100] * 15
    run["implementations"] = [deepcopy(broken) | {"target": f"kernels.py:norm_{i}"} for i in range(30)]
    path = tmp_path / "run.html"
    files.write(json.loads(json.dumps(run)), "html", path, tmp_path)
    tab = browser.new_page()
    began = time.perf_counter()
    tab.goto(path.as_uri())
    print(f"{path.stat().st_size / 1e6:.2f} MB, open after {time.perf_counter() - began:.2f} s")
    count = tab.locator("section").count()
    tab.close()

    assert count == 30
    assert path.stat().st_size < 3_000_000


def test_forty_implementations_fit_in_a_megabyte(browser: Any, tmp_path: Path) -> None:
    """Of a run at default effort, with every plot that it has. How fast the browser paints it is measured only."""
    (claim,) = claims(["layer_norm=torch.nn.functional:layer_norm"], {})
    run = verdict.document(list(events([claim], Settings("default"))), {})
    (sound,) = run["implementations"]
    assert sound["curves"]
    assert sound["gradient_shares"]
    run["implementations"] = [deepcopy(sound) | {"target": f"kernels.py:norm_{i}"} for i in range(40)]
    path = tmp_path / "run.html"
    files.write(json.loads(json.dumps(run)), "html", path, tmp_path)
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.goto(path.as_uri())
    painted = tab.evaluate(
        "new Promise(done => new PerformanceObserver(list => done(list.getEntries()[0].startTime))"
        ".observe({type: 'paint', buffered: true}))"
    )
    drawings = tab.locator("svg.plot").count()
    tab.close()
    print(f"{path.stat().st_size / 1e6:.2f} MB, painted after {painted / 1e3:.2f} s")

    assert drawings == 80
    assert path.stat().st_size < 1_000_000


def test_points_and_lines_of_one_style_are_one_path() -> None:
    """Everything that matplotlib draws is still there: a point for each value, and each word."""
    points = {"condition": [[2.0**i, 0.1 * (i + 1)] for i in range(9)], "width": []}
    drawn = plots.accuracy({"forward float32": points, "backward float32": points}, {}, ["float32"], "a")
    styles = re.findall(r'<path style="([^"]*)"', drawn)

    assert len(styles) == len(set(styles))
    in_legend = 1
    for number, cap in ((1, "round"), (2, "square")):
        (d,) = re.findall(
            rf'stroke: var\(--series-{number}\)[^"]*stroke-linecap: {cap}" d="((?:M[\d.]+ [\d.]+h0)+)"', drawn
        )
        assert d.count("h0") == len(points["condition"]) + in_legend
    assert "<use" not in drawn
    assert "<g" not in drawn
    assert ">error / bound</text>" in drawn


def test_nothing_is_drawn_beyond_its_axes() -> None:
    """No drawing is cut at its axes, so each bar begins where they do."""
    drawn = plots.gradient({"full": 0.01, "mean-constant": "1e12", "none": "inf"}, "g")
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)[0])
    (axis,) = {float(x) for x in re.findall(r'stroke: var\(--line\); stroke-width: 0.8[^"]*" d="M([\d.]+) ', drawn)}
    bars = re.findall(r'<path style="fill: var\(--series[^"]*" d="([^"]*)"', drawn)
    corners = [(float(x), float(y)) for d in bars for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", d)]

    assert min(x for x, _ in corners) == pytest.approx(axis, abs=0.2)
    assert max(x for x, _ in corners) <= width
    assert all(0.0 <= y <= height for _, y in corners)


def test_a_triangle_is_drawn_around_its_point() -> None:
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><defs>'
        '<path id="m" d="M 0 -2 L -2 2 L 2 2 z"/></defs><g><use xlink:href="#m" x="5.04" y="6" style="fill: red"/>'
        '<text style="fill: red" x="1" y="2">a &lt; b</text></g></svg>'
    )
    assert small(text) == (
        '<path style="fill: red" d="M5 6m0 -2l-2 4l4 0z"/>\n<text style="fill: red" x="1" y="2">a &lt; b</text>'
    )
