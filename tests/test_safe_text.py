"""Text of foreign code in every place where it is shown: no control code acts, no line is a command, nothing raises."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, UsageError
from normcheck.core.foreign_code import first_line
from normcheck.core.result import ERROR, Outcome
from normcheck.core.safe_text import safe, safe_record
from normcheck.engine import verdict
from normcheck.report import files
from normcheck.report.services import github
from normcheck.report.terminal.run_summary import summary

HERE = Path()
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|##\\w*\\[|(?<!\\S)::")
"""What must not be in a text that is shown, wherever its lines are broken."""

EVIL = "\x1b[31m\x07::stop-commands::x\n::error file=a::b\r##[error]c ##vso[d \u202e\udcff\x9b2J\x1b]0;t\x07 ::x ::"


@given(st.text(st.characters(exclude_categories=())))
@example(EVIL)
@example(":::x ::::")
@example("\x1b[3\x1b[31m1m")
@example("a\n ::b")
@example("##\x1b[0m[error]")
@example(":\x1b[0m:error::")
@settings(max_examples=500)
def test_a_safe_text_does_nothing_and_stays_safe(text: str) -> None:
    found = safe(text)

    assert not ACTING.search(found)
    assert safe(found) == found
    found.encode("utf-8")


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=50))
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    if ":" not in text and "#" not in text:
        assert safe(text) == text


@pytest.mark.parametrize(
    "text", ["std::vector", "a::b::c", "tests/x.py::test_y[a-b]", "C:/x.py:f", "# [x]", "#1", "😀 é"]
)
def test_what_is_no_command_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


class Word(str):
    """A text whose own methods raise."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError

    def strip(self, *args: Any) -> str:
        raise RuntimeError


def test_every_way_into_a_record_is_safe() -> None:
    assert safe_record({EVIL: [EVIL, (EVIL, {"a": Word(EVIL)}), 1, None]}).keys() == {safe(EVIL)}
    assert type(safe_record([Word("x")])[0]) is str
    for error in (UsageError(EVIL), CallError(EVIL, EVIL)):
        assert not ACTING.search(str(error))
    assert not ACTING.search(CallError("x", EVIL).reason)
    assert not ACTING.search(first_line(ValueError(EVIL)))
    assert not ACTING.search(Implementation("layer_norm", f"{EVIL}.py:f").name)
    outcome = Outcome("layer_norm", EVIL, "call", ERROR, reason=EVIL, notes={EVIL: EVIL}, absent={"a": EVIL})
    for made in (outcome.record(), verdict.run("0.1.0", [outcome], {"effort": EVIL})):
        assert not [one for one in _texts(made) if ACTING.search(one)]


def _texts(value: Any) -> Any:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (*_texts(key), *_texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


@pytest.fixture
def evil(document: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A run whose texts are all evil, as it is read from a file."""

    def poisoned(value: Any, place: str = "") -> Any:
        if isinstance(value, dict):
            return {key: poisoned(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [poisoned(item, place) for item in value]
        return f"{EVIL}{value}" if place in FREE else value

    path = tmp_path / "run.json"
    path.write_text(json.dumps(poisoned(copy.deepcopy(document))))
    return files.read(path)


FREE = (
    "target",
    "law",
    "source",
    "detail",
    "replay",
    "likely",
    "remedy",
    "script",
    "smallest",
    "story",
    "errors",
    "text",
)
"""Keys of a record whose values may quote foreign code."""


@pytest.mark.parametrize("form", files.FORMS)
def test_every_form_is_safe(evil: dict[str, Any], form: str, tmp_path: Path) -> None:
    text = files.text(evil, form, tmp_path / "x.svg", HERE)

    text.encode("utf-8")
    shown = text if form != "html" else re.sub(r"(?s)<(style|script)\b.*?</\1>", "", text)
    assert not ACTING.search(shown)
    if form == "badge":
        ET.fromstring(text)


def test_the_terminal_and_annotations_are_safe(evil: dict[str, Any]) -> None:
    lines = [text for text, _ in summary(evil, 80)]
    assert not [line for line in lines if ACTING.search(line)]
    for line in github.commands(evil, HERE):
        level, _, message = line.removeprefix("::").partition("::")
        assert level.partition(" ")[0] in ("error", "warning", "notice")
        assert not ACTING.search(message)
        assert "\n" not in line


def test_what_code_prints_while_it_is_called_is_safe_in_the_log(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)  # there annotations are commands, and meant to be
    pytester.makepyfile(
        mine="def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):\n"
        "    print('::stop-commands::printed \\x1b[2J ##[group]')\n"
        "    raise ValueError('::stop-commands::raised \\udcff')\n"
    )
    args = ("--norm", "layer_norm=mine:f", "-k", "a_call", "-p", "no:cacheprovider", "--norm-json", "run.json")
    result = pytester.runpytest_inprocess(*args)

    assert result.ret == 1
    assert "printed" in result.stdout.str()
    assert "raised ValueError: : :stop-commands::raised" in result.stdout.str()
    assert not [line for line in result.outlines if ACTING.search(line)]
    assert not ACTING.search(json.loads((pytester.path / "run.json").read_text())["implementations"][0]["errors"][0])
