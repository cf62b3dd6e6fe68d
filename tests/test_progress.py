"""The line of progress below pytest's output: what it says, where it is shown, and that pytest's output stays whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pseudo_terminal import in_terminal

from normcheck.pytest_plugin.progress_line import CACHE_KEY, Progress, shown_by

SELECTED = [[f"t{i}", "layer_norm", "mine.py:f", f"check-{i}"] for i in range(4)]
FOUND = {"event": "check done", "outcome": {"finding": {"check": "value", "cause": "eps-ignored+variance-unbiased"}}}


def progress(seconds: dict[str, float], processes: int = 1) -> Progress:
    made = Progress(seconds, processes)
    made.take({"selected": SELECTED})
    return made


def test_what_it_says() -> None:
    made = progress({})
    assert made.text(80) == "normcheck: 0 of 4 checks, no cause so far"

    made.ended("t0", 0.5)
    made.ended("of another test", 9.0)
    made.take(FOUND)
    made.take(FOUND)
    made.take({"event": "check done", "outcome": {"finding": None}})
    assert made.text(80) == "normcheck: 1 of 4 checks, 2 causes: eps-ignored, variance-unbiased"
    assert made.text(20) == "normcheck: 1 of 4 ch"
    assert made.seconds() == {"layer_norm check-0": 0.5}


@pytest.mark.parametrize(
    ("known", "processes", "left"),
    [
        ({}, 1, ""),
        ({"check-1": 30.0}, 1, ""),  # of less than half of them nothing follows
        ({"check-1": 30.0, "check-2": 10.0}, 1, ", about 61 s left"),  # the mean for the third
        ({"check-1": 30.0, "check-2": 10.0}, 2, ", about 31 s left"),
        ({"check-0": 2.0, "check-1": 30.0, "check-2": 10.0}, 1, ", about 2 min left"),  # twice as slow as then
    ],
)
def test_the_time_that_is_left(known: dict[str, float], processes: int, left: str) -> None:
    made = progress({f"layer_norm {name}": seconds for name, seconds in known.items()}, processes)
    made.ended("t0", 4.0)

    assert made.text(80) == f"normcheck: 1 of 4 checks{left}, no cause so far"


WRONG = """
def f(x, weight=None, bias=None, eps=1e-5):
    y = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps).sqrt()
    y = y if weight is None else y * weight
    return y if bias is None else y + bias
"""
FROM_THE_BEGINNING = "from normcheck.pytest_plugin import progress_line\nprogress_line.AFTER = 0.0\n"
DRAWN = re.compile(r"\r\n(normcheck: [^\r\n]*)\x1b\[A\x1b\[\d+G")


def project(folder: Path) -> Path:
    (folder / "mine.py").write_text(WRONG)
    (folder / "conftest.py").write_text(FROM_THE_BEGINNING)
    return folder


ASKED = ("--norm=layer_norm=mine.py:f", "--norm-effort=quick", "-k", "conventions or value or moments")


def test_pytest_writes_the_same_with_it(tmp_path: Path) -> None:
    told = in_terminal(project(tmp_path), *ASKED)

    drawn = DRAWN.findall(told)
    asked = int(drawn[-1].split()[3])
    assert drawn[0] == f"normcheck: 0 of {asked} checks, no cause so far"
    assert f"normcheck: {asked} of {asked} checks, 1 cause: variance-unbiased" in drawn[-1]
    whole = DRAWN.sub("", told).replace("\x1b[J", "")
    plain = re.sub(r"\x1b\[[\d;]*m", "", whole)
    assert re.search(r"^test_a_conventions\.py F +\[", plain, re.MULTILINE), told
    assert "\x1b[A" not in whole
    assert told.count("\x1b[J") == len(drawn)  # each is erased
    assert told.rindex("\x1b[J") < told.index("= FAILURES =")

    kept = json.loads((tmp_path / ".pytest_cache" / "v" / CACHE_KEY).read_text())
    assert kept["quick"]["layer_norm value"] > 0
    again = DRAWN.findall(in_terminal(tmp_path, *ASKED))
    assert re.search(r", about \d+ s left, no cause", again[0])


@pytest.mark.parametrize(
    ("words", "environment", "shown"),
    [
        ((), {}, True), (("-v",), {}, True), ((), {"CI": "1"}, False), ((), {"TERM": "dumb"}, False),
        (("-q",), {}, False), (("-s",), {}, False), (("--pdb",), {}, False), (("-p", "no:terminal"), {}, False),
    ], ids=str,
)  # fmt: skip
def test_where_it_would_be_in_the_way_it_is_not_shown(
    words: tuple[str, ...], environment: dict[str, str], shown: bool,
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = pytester.parseconfigure(*words)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    assert shown_by(config) is None  # not on a terminal
    if reporter is not None:
        reporter.isatty = True

    assert (shown_by(config) is not None) == shown


def test_a_reporter_of_others_is_left_alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    config = pytester.parseconfigure()
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reporter.isatty = True
    reporter.__class__ = type("Other", (type(reporter),), {})

    assert shown_by(config) is None


def test_in_a_pipe_it_is_not_shown(pytester: pytest.Pytester) -> None:
    project(pytester.path)
    told = pytester.runpytest_subprocess(*ASKED).stdout.str()

    assert "variance-unbiased" in told
    assert "\x1b" not in told


def test_processes_of_xdist_are_counted_once(tmp_path: Path) -> None:
    drawn = DRAWN.findall(in_terminal(project(tmp_path), *ASKED, "-n", "2"))

    asked = int(drawn[-1].split()[3])
    assert drawn[-1].startswith(f"normcheck: {asked} of {asked} checks, 1 cause: variance-unbiased")


def test_a_short_run_has_none(tmp_path: Path) -> None:
    (project(tmp_path) / "conftest.py").write_text(FROM_THE_BEGINNING.replace("0.0", "1e6"))

    assert not DRAWN.findall(in_terminal(tmp_path, *ASKED))
