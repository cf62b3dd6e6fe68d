"""Two saved runs are compared: what is new, gone, changed, slower; status 1 if something is worse."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from normcheck.cli import run as command
from normcheck.report.terminal.comparison import compared

NAMES = ("old.json", "new.json")


def speed(value: float, high: float) -> dict[str, Any]:
    """A timing whose ratio to the baseline has an interval."""
    ratio = {"value": value, "low": 2.0 * value - high, "high": high}
    return {
        "sets": 8,
        "n": 64,
        "format": "float32",
        "pass": "forward",
        "cache": "warm",
        "baseline": "fused",
        "ratio": ratio,
    }


def changed(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The document with other fields in its first implementation."""
    made = deepcopy(document)
    made["implementations"][0] |= fields
    return made


def text(before: dict[str, Any], after: dict[str, Any], width: int = 80) -> tuple[str, bool]:
    lines, worse = compared(before, after, NAMES, width)
    assert max(map(len, lines)) <= width
    return "\n".join(lines).strip(), worse


def test_equal_runs(document: dict[str, Any]) -> None:
    assert text(document, document) == ("3 unchanged", False)


def test_what_is_broken_is_worse_and_what_is_mended_is_better(document: dict[str, Any]) -> None:
    broken = deepcopy(document)
    sound, wrong, _ = broken["implementations"]
    sound |= {name: wrong[name] for name in ("verdict", "causes", "findings", "warnings", "accuracy")}
    told, worse = text(document, broken)

    assert worse
    assert told.splitlines()[:2] == ["layer_norm = sound.py:f: passed -> failed", "  verdict   passed -> failed"]
    assert "  new       cause one-pass-variance in" in told
    assert "  gone      warning accuracy=half:bfloat16: statistics are kept in bfloat16" in told
    assert told.endswith("1 worse, 2 unchanged")
    back, worse = text(broken, document)
    assert worse  # the warning is there again
    assert "gone      cause one-pass-variance in" in back
    assert "new       warning accuracy=half:bfloat16" in back


def test_mended_and_nothing_new(document: dict[str, Any]) -> None:
    clean = changed(document, warnings=[])
    told, worse = text(document, clean)

    assert not worse
    assert told.endswith("1 better, 2 unchanged")
    assert text(clean, document)[1]


@pytest.mark.parametrize(
    ("old", "new", "says", "worse"),
    [
        ({"gradient": "full"}, {"gradient": "none"}, "gradient  full -> none", False),
        ({"row": {"dataset_rescaling": "invariant"}}, {"row": {"dataset_rescaling": "not invariant"}},
         "table     data *d: yes -> no", False),
        ({"extended": {}}, {"extended": {"independence_of_batch": "invariant"}},
         "table     own case: not asked -> yes", False),
        ({"accuracy": {"forward float32": {"class": "sound", "share": 0.1}}},
         {"accuracy": {"forward float32": {"class": "sound", "share": "nan"}}},
         "accuracy  forward float32: error 0.1 -> inf of what is allowed", False),
        ({"speed": [speed(1.0, 1.1)]}, {"speed": [speed(1.5, 1.6)]},
         "slower    8x64 float32 forward: 1.00 [0.90, 1.10] -> 1.50 [1.40, 1.60] x fused", True),
        ({"speed": [speed(1.5, 1.6)]}, {"speed": [speed(1.0, 1.1)]}, "quicker   8x64 float32 forward", False),
        ({"verdict": "passed"}, {"verdict": "error", "errors": ["it raised"]},
         "verdict   passed -> error: it raised", True),
    ],
)  # fmt: skip
def test_what_changed(
    document: dict[str, Any], old: dict[str, Any], new: dict[str, Any], says: str, worse: bool
) -> None:
    told, found = text(changed(document, **old), changed(document, **new))

    assert says in told
    assert found is worse


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"speed": [speed(1.0, 1.3)]}, {"speed": [speed(1.2, 1.5)]}),  # intervals that overlap
        ({"speed": [speed(1.0, 1.1)]}, {"speed": [speed(9.0, 9.1) | {"baseline": "eager"}]}),
        ({"accuracy": {"forward float32": {"class": "sound", "share": 0.001}}},
         {"accuracy": {"forward float32": {"class": "sound", "share": 0.04}}}),
    ],
)  # fmt: skip
def test_what_is_no_change(document: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> None:
    assert text(changed(document, **old), changed(document, **new)) == ("3 unchanged", False)


def test_what_only_one_run_has(document: dict[str, Any]) -> None:
    fewer = deepcopy(document)
    del fewer["implementations"][1]  # the broken one
    fewer |= {"settings": {"effort": "default", "seed": None}, "complete": False}
    told, worse = text(fewer, document)

    assert worse
    assert "old.json asked with effort default, new.json with quick" in told
    assert "old.json did not reach its end" in told
    assert "only      in new.json" in told
    told, worse = text(document, fewer)
    assert not worse
    assert "only      in old.json" in told


def test_the_command(document: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / name) for name in NAMES]
    for path, run in zip(paths, (changed(document, warnings=[]), document), strict=True):
        Path(path).write_text(json.dumps(run))

    assert command(["report", *paths]) == 1
    assert "new       warning" in capsys.readouterr().out
    assert command(["report", paths[0], paths[0]]) == 0
    assert capsys.readouterr().out == "3 unchanged\n"
