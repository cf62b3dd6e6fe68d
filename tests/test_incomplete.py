"""No verdict without its answers: what was to be asked and has no answer is named, and the run does not pass."""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import normcheck
from normcheck.core.result import FAILED, PASSED, Outcome
from normcheck.engine import verdict
from normcheck.engine.coverage import Coverage
from normcheck.report import completeness
from normcheck.report.services import badge, problems

MINE = """
import os, sys
import pytest, torch

F = torch.nn.functional
calls = []


def at_call(number, act):
    def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        calls.append(1)
        if len(calls) == number:
            act()
        return F.layer_norm(x, normalized_shape, weight, bias, eps)
    return f


def throw(error):
    def act():
        raise error
    return act


def end_once():
    if not os.path.exists("ended"):
        open("ended", "w").close()
        os._exit(0)


interrupted = at_call(150, throw(KeyboardInterrupt()))
left = at_call(150, throw(GeneratorExit()))
ended = at_call(150, lambda: os._exit(0))


def crashes(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if "PYTEST_XDIST_WORKER" in os.environ and "moments" in os.environ.get("PYTEST_CURRENT_TEST", ""):
        end_once()
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def unbiased(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    y = (x - x.mean(axes, keepdim=True)) / torch.sqrt(x.var(axes, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def skips(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if x.shape[0] > 2:
        pytest.skip("not today")
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def exits(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    if x.shape[0] > 2:
        pytest.exit("not today", returncode=0)
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


class SkipsOutsideOfCalls(torch.nn.LayerNorm):
    @property
    def training(self):
        pytest.skip("not today")

    @training.setter
    def training(self, value):
        pass
"""
TORCH = "layer_norm=torch.nn.functional:layer_norm"
FEW = "test_call or test_conventions or value or moments or sign"
QUICK = ("-q", "-p", "no:cacheprovider", "--norm-effort", "quick")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(mine=MINE)
    return pytester


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    files_of = ("--norm-json", "out.json", "--norm-badge", "badge.json")
    return project.runpytest_inprocess(*QUICK, *files_of, *args, no_reraise_ctrlc=True)


def run_apart(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_subprocess(*QUICK, "--norm-json", "out.json", "--norm-badge", "badge.json", *args)


def document(project: pytest.Pytester) -> dict[str, Any]:
    found = json.loads((project.path / "out.json").read_text())
    jsonschema.validate(found, json.loads((files("normcheck") / "report" / "schema.json").read_text()))
    return found


def color(project: pytest.Pytester) -> str:
    return "#" + json.loads((project.path / "badge.json").read_text())["color"]


# What ends a run


def test_a_whole_run_is_complete(project: pytest.Pytester) -> None:
    assert run(project, "--norm", TORCH).ret == 0
    found = document(project)

    assert (found["complete"], found["ended"], found["deselected"]) == (True, "", 0)
    assert [(one["verdict"], one["missing"]) for one in found["implementations"]] == [("passed", {})]
    assert color(project) == badge.COLORS["passed"]


def test_an_interrupted_run(project: pytest.Pytester) -> None:
    result = run(project, "--norm", "layer_norm=mine.py:interrupted", "-k", FEW)
    found = document(project)
    (one,) = found["implementations"]

    assert result.ret == 2
    assert (found["complete"], found["ended"]) == (False, "interrupted: KeyboardInterrupt")
    assert one["verdict"] == "incomplete"
    assert one["checks"]["passed"] + len(one["missing"]) == 6
    begun = [check for check, why in one["missing"].items() if why.startswith("begun and not finished")]
    assert len(begun) == 1
    assert "not reached: interrupted: KeyboardInterrupt" in one["missing"].values()
    assert color(project) == badge.COLORS["incomplete"]
    result.stdout.fnmatch_lines(["*Incomplete: * checks without an answer; the run has ended: interrupted: Keyboard*"])


def test_a_generator_exit_is_an_exception_as_any_other(project: pytest.Pytester) -> None:
    assert run(project, "--norm", "layer_norm=mine.py:left", "-k", FEW).ret == 1
    (one,) = document(project)["implementations"]

    assert one["verdict"] == "failed"
    assert [cause["name"] for cause in one["causes"]] == ["raises GeneratorExit"]


def test_a_worker_that_crashes(project: pytest.Pytester) -> None:
    """The test in which it ended has no answer; the others are asked by another worker."""
    result = run_apart(project, "-n", "2", "--norm", "layer_norm=mine.py:crashes", "-k", FEW)
    found = document(project)
    (one,) = found["implementations"]

    assert result.ret == 1
    assert found["complete"] is False
    assert one["verdict"] == "incomplete"
    assert list(one["missing"]) == ["moments"]
    assert one["missing"]["moments"].startswith("its test failed: worker 'gw")
    assert one["checks"]["passed"] == 5
    assert color(project) == badge.COLORS["incomplete"]


def test_a_run_that_stops_at_the_first_failure(project: pytest.Pytester) -> None:
    """What failed has failed; what was not reached has no verdict."""
    result = run(project, "-x", "--norm", "layer_norm=mine.py:unbiased", "--norm", TORCH, "-k", FEW)
    found = document(project)
    verdicts = {one["target"]: (one["verdict"], len(one["missing"])) for one in found["implementations"]}

    assert result.ret == 1
    assert found["ended"] == "stopping after 1 failures"
    assert verdicts["mine.py:unbiased"][0] == "failed"
    assert verdicts["torch.nn.functional:layer_norm"] == ("incomplete", 5)


def test_a_run_that_stops_after_its_last_question_is_whole(project: pytest.Pytester) -> None:
    result = run(project, "-x", "--norm", "layer_norm=mine.py:unbiased", "-k", "test_call or test_conventions")
    found = document(project)

    assert result.ret == 1
    assert (found["complete"], found["ended"]) == (True, "")


def test_an_exit_in_the_middle(project: pytest.Pytester) -> None:
    """The status is not 0, and the journal has what was answered, and how it ended."""
    result = run_apart(project, "--norm", "layer_norm=mine.py:ended", "-k", FEW)

    assert result.ret == 1
    result.stdout.fnmatch_lines(["normcheck: os._exit(0) was called in the run: it is not complete"])
    lines = [json.loads(line) for line in (project.path / "out.json.partial.jsonl").read_text().splitlines()]
    assert lines[-1] == {"ended": "os._exit(0) was called in the run"}
    assert not (project.path / "out.json").exists()


# What skips


@pytest.mark.parametrize(("name", "said"), [("skips", "Skipped: not today"), ("exits", "Exit: not today")])
def test_an_input_that_is_skipped_is_not_refused(project: pytest.Pytester, name: str, said: str) -> None:
    """An implementation refuses an input by an error; one that ends the test instead gets no verdict by it."""
    result = run(project, "--norm", f"layer_norm=mine.py:{name}", "-k", FEW)
    (one,) = document(project)["implementations"]

    assert result.ret == 1
    assert one["verdict"] == "error"
    assert any(said in text and text.endswith("which would end its test") for text in one["errors"])


def test_a_skip_outside_of_a_call_is_no_answer(project: pytest.Pytester) -> None:
    chosen = "test_call or value or evaluation-mode or changed-parameters"
    result = run(project, "--norm", "layer_norm=mine.py:SkipsOutsideOfCalls", "-k", chosen)
    (one,) = document(project)["implementations"]

    assert result.ret == 1
    assert one["verdict"] == "incomplete"
    assert set(one["missing"]) == {"evaluation-mode", "changed-parameters"}
    assert "Skipped: not today" in one["missing"]["evaluation-mode"]


def test_tests_that_others_skip_have_no_answer(project: pytest.Pytester) -> None:
    project.makeconftest(
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        "    for item in items:\n"
        "        if 'moments' in item.name: item.add_marker(pytest.mark.skip('it is slow'))\n"
    )
    assert run(project, "--norm", TORCH, "-k", FEW).ret == 1
    (one,) = document(project)["implementations"]

    assert (one["verdict"], one["missing"]) == ("incomplete", {"moments": "its test was skipped: it is slow"})


def test_a_test_that_fails_without_a_finding_gives_no_answer(project: pytest.Pytester) -> None:
    """As where a fixture of the project fails after it, or its time is over."""
    project.makeconftest(
        "import pytest\n"
        "@pytest.fixture(autouse=True)\n"
        "def limits(request):\n"
        "    yield\n"
        "    assert 'moments' not in request.node.name, 'too slow'\n"
    )
    assert run(project, "--norm", TORCH, "-k", FEW).ret == 1
    (one,) = document(project)["implementations"]

    assert one["verdict"] == "incomplete"
    assert list(one["missing"]) == ["moments"]
    assert one["missing"]["moments"].startswith("its test failed in teardown: ")
    assert "too slow" in one["missing"]["moments"]


def test_a_test_of_a_project_that_ends_early(project: pytest.Pytester) -> None:
    """All checks of `normcheck.verify` were to be asked."""
    project.makeconftest(
        "seen = []\ndef pytest_normcheck_event(event):\n    seen.append(event)\n    assert len(seen) != 10, 'enough'\n"
    )
    project.makepyfile(
        test_own="def test_own(normcheck): normcheck.verify('torch.nn.functional:layer_norm', as_='layer_norm')"
    )
    result = run(project, "test_own.py")
    (one,) = document(project)["implementations"]

    assert result.ret == 1
    assert one["verdict"] == "incomplete"
    assert len(one["missing"]) > 60
    assert any("enough" in why for why in one["missing"].values())


# What is run again


RERUN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for last in (False, False, True):
        item._initrequest()
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if report.failed and not last:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""
"""As pytest-rerunfailures does it."""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "workers"])
def test_a_test_that_is_run_again_has_one_finding(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    project.makeconftest(RERUN)
    words = ("--norm", "layer_norm=mine.py:unbiased", "-k", "test_call or test_conventions", "--junitxml", "junit.xml")
    result = (run_apart if workers else run)(project, *words, *workers)
    found = document(project)
    (one,) = found["implementations"]

    assert result.ret == 1
    assert (one["verdict"], len(one["findings"]), one["checks"]["passed"]) == ("failed", 1, 1)
    assert found["complete"]
    assert (project.path / "junit.xml").read_text().count("conventions: status") == 3  # pytest writes those of each run
    result.stdout.fnmatch_lines(["*law *|y - exact y| <= bound*"])  # in full in the run that counts


def test_the_last_of_several_runs_counts(project: pytest.Pytester) -> None:
    """A test that fails without a result is answered when it is run again."""
    project.makeconftest(
        RERUN + "import pytest\n"
        "times = []\n"
        "@pytest.fixture(autouse=True)\n"
        "def flaky():\n"
        "    times.append(1)\n"
        "    assert len(times) != 2, 'flaky'\n"
    )
    assert run(project, "--norm", TORCH, "-k", "value").ret == 0
    (one,) = document(project)["implementations"]

    assert (one["verdict"], one["checks"]["passed"], one["missing"]) == ("passed", 1, {})


# What is left out, and the exit status


def test_a_part_of_a_run_says_so(project: pytest.Pytester) -> None:
    result = run(project, "--norm", TORCH, "-k", "value")
    found = document(project)
    (one,) = found["implementations"]

    assert result.ret == 0
    assert (found["complete"], one["verdict"], one["missing"]) == (True, "passed", {})
    assert found["deselected"] == one["deselected"] > 60
    result.stdout.fnmatch_lines(["In part: without * checks that this run did not select."])


def test_what_failed_last_is_a_part(project: pytest.Pytester) -> None:
    words = ("-q", "--norm-effort", "quick", "--norm", "layer_norm=mine.py:unbiased", "-k", FEW)
    assert project.runpytest_inprocess(*words).ret == 1
    result = project.runpytest_inprocess(*words, "--lf", "--norm-json", "out.json")
    (one,) = document(project)["implementations"]

    assert result.ret == 1
    assert one["checks"]["failed"] == sum(one["checks"].values()) == 1
    assert one["deselected"] > 60


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_what_cannot_be_loaded_is_told_by_every_selection(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    words = ("--norm", "layer_norm=mine.py:nothing", "--norm", TORCH, "-k", "value or sign")
    result = (run_apart if workers else run)(project, *words, *workers)
    found = {one["target"]: one for one in document(project)["implementations"]}

    assert result.ret == 4
    assert found["mine.py:nothing"]["verdict"] == "error"
    (text,) = found["mine.py:nothing"]["errors"]
    assert "'mine.py' has no attribute 'nothing'" in text
    assert found["torch.nn.functional:layer_norm"]["verdict"] == "passed"
    result.stdout.fnmatch_lines(["*'mine.py' has no attribute 'nothing'*"])


def test_a_selection_of_nothing_does_not_pass(project: pytest.Pytester) -> None:
    result = run(project, "--norm", TORCH, "-k", "nothing_of_that_name")

    assert result.ret == 5
    assert document(project)["implementations"] == []
    assert json.loads((project.path / "badge.json").read_text())["message"] == "nothing checked"
    result.stdout.fnmatch_lines(["Nothing was compared."])


def test_tests_that_do_not_compare_do_not_pass_for_what_is_named(project: pytest.Pytester) -> None:
    """Where files are named the suite is not collected. An implementation in a file of settings is no demand."""
    project.makepyfile(test_own="def test_own(): pass\n")
    result = run(project, "--norm", TORCH, "test_own.py")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["Nothing was compared."])
    project.makeini(f"[pytest]\nnorm =\n    {TORCH}\n")
    result = project.runpytest_inprocess("-q", "-p", "no:cacheprovider", "test_own.py")
    assert result.ret == 0
    assert "= normcheck =" not in result.stdout.str()


def test_a_collection_is_no_run(project: pytest.Pytester) -> None:
    (project.path / "out.json").write_text("as before")

    assert run(project, "--norm", TORCH, "--collect-only").ret == 0
    assert (project.path / "out.json").read_text() == "as before"


# Values


def outcome(check: str, status: str = PASSED) -> Outcome:
    return Outcome("layer_norm", "m:f", check, status, 5)


def test_a_verdict_needs_every_answer() -> None:
    asked = tuple(("layer_norm", "m:f", check) for check in ("call", "value", "sign"))
    some = [outcome("call"), outcome("value")]

    whole = verdict.run("1", [*some, outcome("sign")], {}, Coverage(asked))
    part = verdict.run("1", some, {}, Coverage(asked, ended="killed"))
    failing = verdict.run("1", [outcome("value", FAILED)], {}, Coverage(asked))
    nothing = verdict.run("1", [], {}, Coverage(asked))
    assert [one["implementations"][0]["verdict"] for one in (whole, part, failing, nothing)] == [
        "passed", "incomplete", "failed", "incomplete",
    ]  # fmt: skip
    assert [one["complete"] for one in (whole, part, failing, nothing)] == [True, False, False, False]
    assert part["implementations"][0]["missing"] == {"sign": "not reached: killed"}
    assert verdict.run("1", some, {}, Coverage(ended="killed"))["complete"] is False
    assert badge.summary(part) == ("1 of 1 incomplete", "incomplete")
    assert badge.summary(verdict.run("1", some, {}, Coverage(ended="killed"))) == ("incomplete", "incomplete")


def test_every_report_tells_it() -> None:
    asked = tuple(("layer_norm", "m:f", check) for check in ("call", "value", "sign"))
    part = verdict.run("1", [outcome("call")], {}, Coverage(asked, ended="killed"))

    (one,) = problems.problems(part, Path())
    assert (one.level, one.rule) == (problems.FAILS, "incomplete")
    assert one.text == "2 checks without an answer: value, sign (not reached: killed)"
    assert list(completeness.lines(part)) == ["Incomplete: 2 checks without an answer; the run has ended: killed."]


def test_api_asks_every_question() -> None:
    found = normcheck.check("torch.nn.functional:layer_norm", as_="layer_norm", effort="quick")

    assert found.ok
    assert (found.missing, found.deselected) == ({}, 0)
    assert json.loads(found.to_json())["complete"] is True


@pytest.fixture(autouse=True)
def _forget() -> Any:
    yield
    for name in [name for name in sys.modules if name.startswith("_normcheck_target_mine")]:
        del sys.modules[name]
