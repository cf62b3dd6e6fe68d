"""The stream of events: its order, its form as plain data, and that Python API and pytest plugin see the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import normcheck
from normcheck.core.events import CheckDone, CheckStarted, ClaimBound, ClaimDone, Event, event, record
from normcheck.core.result import FAILED, PASSED
from normcheck.engine.claims import claims
from normcheck.engine.run import events, in_order
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME
from normcheck.report.terminal.implementation import progress

MINE = """
import torch

def unbiased(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    y = (x - x.mean(axes, keepdim=True)) / torch.sqrt(x.var(axes, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias
"""
WORD = "layer_norm=mine.py:unbiased"

CONFTEST = """
import json

from normcheck.core.events import record

def pytest_normcheck_event(event):
    with open("events.jsonl", "a") as file:
        file.write(json.dumps(record(event)) + "\\n")
"""

SOME = [CHECKS_BY_NAME[name] for name in ("value", "sign", "moments")]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(mine=MINE)
    pytester.makeconftest(CONFTEST)
    return pytester


def plain(some: Iterable[Event]) -> list[dict[str, Any]]:
    """Events as records, without what no run repeats."""
    out = [record(one) for one in some]
    for one in out:
        one.get("outcome", {}).pop("seconds", None)
    return out


def told(project: pytest.Pytester) -> list[Event]:
    """What the hook of a project received."""
    return [event(json.loads(line)) for line in (project.path / "events.jsonl").read_text().splitlines()]


def without_seconds(document: dict[str, Any]) -> dict[str, Any]:
    (one,) = document["implementations"]
    return {key: value for key, value in one.items() if key != "seconds"}


def test_the_order_of_a_stream(project: pytest.Pytester) -> None:
    """Bound, then each check started and done, then the claim done; the same for each claim in turn."""
    words = [WORD, "rms_norm=torch.nn.functional:rms_norm"]
    found = list(events(claims(words, {}), Settings("quick"), SOME))

    names = ["conventions", *(check.name for check in SOME)]
    length = 1 + 2 * len(names) + 1
    assert len(found) == 2 * length
    for one in (found[:length], found[length:]):
        assert [type(e) for e in one] == [ClaimBound, *[CheckStarted, CheckDone] * len(names), ClaimDone]
        assert [e.check for e in one if isinstance(e, CheckStarted)] == names
    assert {e.kind for e in found[:length]} == {"layer_norm"}
    statuses = {e.outcome.check: e.outcome.status for e in found[:length] if isinstance(e, CheckDone)}
    assert statuses == {"conventions": FAILED, "value": PASSED, "sign": PASSED, "moments": PASSED}


def test_events_are_plain_data(project: pytest.Pytester) -> None:
    """A stream survives JSON; findings included."""
    found = list(events(claims([WORD], {}), Settings("quick"), SOME))

    assert [event(json.loads(json.dumps(record(one)))) for one in found] == found


def test_what_cannot_be_bound_is_an_event() -> None:
    found = list(events(claims(["layernorm=m:f", "layer_norm=nowhere:f"], {}), Settings("quick"), SOME))

    errors = [one.outcome.reason for one in found if isinstance(one, ClaimBound)]
    assert "did you mean 'layer_norm'?" in errors[0]
    assert "there is no module 'nowhere'" in errors[1]
    assert [type(one) for one in found[:2]] == [ClaimBound, ClaimDone]


def test_a_stream_that_is_closed_asks_no_more() -> None:
    calls = []

    def counted(x, normalized_shape):
        calls.append(1)
        return x

    stream = events(claims([("layer_norm", counted)], {}), Settings("quick"), SOME)
    next(stream)
    before = len(calls)
    stream.close()

    assert len(calls) == before
    assert next(stream, None) is None


def test_api_and_plugin_see_the_same(project: pytest.Pytester) -> None:
    """The same events and the same record from `check`, from `pytest --norm` and from two worker processes."""
    seen: list[Event] = []
    verdict = normcheck.check("mine.py:unbiased", as_="layer_norm", effort="quick", progress=seen.append)
    expected = without_seconds(json.loads(verdict.to_json()))

    assert not verdict.ok
    for run, workers in ((project.runpytest_inprocess, ()), (project.runpytest_subprocess, ("-n", "2"))):
        (project.path / "events.jsonl").unlink(missing_ok=True)
        options = ("-p", "no:cacheprovider", "--norm-effort", "quick", "--norm", WORD, "--norm-json", "out.json")
        assert run(*options, *workers).ret == 1
        assert plain(in_order(told(project), ())) == plain(seen)
        assert without_seconds(json.loads((project.path / "out.json").read_text())) == expected


@pytest.mark.parametrize(
    ("target", "form"), [("forms/quantized.py:rms_norm_int8", "int8"), ("forms/quantized.py:rms_norm_fp8", "e4m3")]
)
def test_a_form_is_asked_the_same(project: pytest.Pytester, target: str, form: str) -> None:
    """A quantized output is asked few of the laws, by pytest too."""
    path = str(Path(__file__).parent / "user_code" / target)
    verdict = normcheck.check(path, "rms_norm", contract={"form": form}, effort="quick")
    words = ("--norm", f"rms_norm={path}", "--norm-contract", f"form={form}", "--norm-effort", "quick")
    found = project.runpytest_inprocess("-p", "no:cacheprovider", *words, "--norm-json", "out.json")

    assert verdict.ok
    assert found.ret == 0
    (one,) = json.loads((project.path / "out.json").read_text())["implementations"]
    assert one["checks"] == dict(verdict.checks)


def test_api_and_fixture_see_the_same(project: pytest.Pytester) -> None:
    """`normcheck.verify` in a test is the same stream, in the same order; and fails with the same text."""
    project.makepyfile(
        test_own="def test_mine(normcheck): normcheck.verify('mine.py:unbiased', as_='layer_norm', effort='quick')\n"
    )
    result = project.runpytest_inprocess("-p", "no:cacheprovider", "test_own.py")
    seen: list[Event] = []
    verdict = normcheck.check("mine.py:unbiased", as_="layer_norm", effort="quick", progress=seen.append)

    assert plain(told(project)) == plain(seen)
    with pytest.raises(normcheck.FindingsError) as caught:
        verdict.raise_for_findings()
    assert str(caught.value) in result.stdout.str()


def test_a_line_for_each_result() -> None:
    """Progress is made from records of events alone."""
    lines = [progress(record(one)) for one in events(claims(["layer_norm=nowhere:f"], {}), Settings("quick"), SOME)]

    assert lines[0].startswith("layer_norm nowhere:f: call: error: nowhere:f: there is no module 'nowhere'")
    assert lines[1:3] == ["", "layer_norm nowhere:f: conventions: skipped: it cannot be called"]
    assert lines[3:5] == ["", "layer_norm nowhere:f: value: skipped: it cannot be called"]
    assert lines[-1] == ""
