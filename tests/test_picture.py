"""The picture of a verdict: what is drawn where, in which colors, and what is said where nothing can be drawn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import normcheck
from normcheck.report.page.picture import picture
from normcheck.report.page.plots import ALONE, BAD, COLORS

RECORD = {
    "kind": "layer_norm", "target": "mine.py:$f$", "verdict": "failed",
    "curves": {
        "forward float64": {"condition": [[1, "0.01"], [8, "40.0"]], "width": [[2, "0.5"], [64, "inf"]]},
        "backward float16": {"condition": [[1, "0.3"]], "width": []},
    },
    "gradient_shares": {"full": "1e12", "mean-constant": "0.2"},
}  # fmt: skip


def axes_of(figure: Figure) -> list[Any]:
    return [axes for part in figure.subfigs for axes in part.axes]


def test_accuracy_and_gradient_are_drawn() -> None:
    figure = picture(RECORD)
    wide, narrow, by_width, _, modes = axes_of(figure)  # a column for each format, widths below conditions

    def drawn(axes: Any) -> dict[str, list[float]]:
        return {line.get_label(): list(line.get_ydata()) for line in axes.get_lines() if line.get_label()[0] != "_"}

    assert (wide.get_title(), drawn(wide)) == ("float64", {"forward": [0.01, 40.0]})
    assert (narrow.get_title(), drawn(narrow)) == ("float16", {"backward": [0.3]})
    assert list(drawn(by_width)) == ["forward"]
    (bound,) = [line for line in wide.get_lines() if line.get_label()[0] == "_"]
    assert (list(bound.get_ydata()), bound.get_color()) == ([1.0, 1.0], ALONE[BAD])
    assert "rms(x)" in narrow.get_xlabel()
    fits = {label.get_text(): to_hex(bar.get_facecolor()) for label, bar in zip(
        modes.get_yticklabels(), modes.patches, strict=True)}  # fmt: skip
    assert list(fits) == ["mean-constant", "full"]
    assert len(set(fits.values())) == 2


def test_a_notebook_shows_it_and_a_file_holds_it(tmp_path: Path) -> None:
    figure = picture(RECORD)
    figure.savefig(tmp_path / "mine.svg")
    drawn = (tmp_path / "mine.svg").read_text()

    assert figure._repr_png_().startswith(b"\x89PNG")
    assert not set(COLORS) & {word.rstrip(";\"'") for word in drawn.replace(":", " ").split()}  # no placeholder is left


def test_only_what_was_measured_is_drawn() -> None:
    assert len(axes_of(picture(RECORD | {"gradient_shares": {}}))) == 4
    assert len(axes_of(picture(RECORD | {"curves": {}}))) == 1
    with pytest.raises(normcheck.UsageError, match="nothing to plot: neither accuracy nor gradient was measured"):
        picture(RECORD | {"curves": {}, "gradient_shares": {}})


def test_a_verdict_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = normcheck.check("torch.nn.functional:rms_norm", as_="rms_norm", effort="quick")
    by_condition, *_, modes = axes_of(verdict.plot())
    assert {line.get_label() for line in by_condition.get_lines()} >= {"forward"}
    assert "closed form" in modes.get_xlabel()

    monkeypatch.delitem(sys.modules, "normcheck.report.page.picture")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(normcheck.UsageError, match=r"a plot needs matplotlib: pip install 'normcheck\[report\]'"):
        verdict.plot()
