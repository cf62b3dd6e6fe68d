"""Nothing is left to chance unless a seed is asked for; then it is said, and repeats the run, in any process."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.database import InMemoryExampleDatabase

from normcheck.core.replay import encode
from normcheck.engine.failing_cases import NOTHING, FailingCases
from normcheck.engine.search import Effort, search, shared
from normcheck.families import CHECKS_BY_NAME, get
from normcheck.normalizers import faults
from normcheck.normalizers.sampling.recipes import Draw
from normcheck.normalizers.subject import Answer, Subject

RARE = """
import torch

def rare(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)
    return y + 1.0 if int(x.double().abs().sum() * 1e4) % 7 == 0 else y
"""
"""Wrong on a seventh of all inputs, whichever they are: what is found depends on what is drawn."""

CLAIM = "layer_norm=./rare.py:rare"
CHOSEN = ("-p", "no:cacheprovider", "-k", "affine-map", "--norm", CLAIM)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(rare=RARE)
    return pytester


def asked(project: pytest.Pytester, *args: str, processes: bool = False) -> tuple[str, dict[str, Any]]:
    """The text of a run, and its record without what no run repeats."""
    call = project.runpytest_subprocess if processes else project.runpytest_inprocess
    result = call(*CHOSEN, "--norm-json", "out.json", *args)
    run = json.loads((project.path / "out.json").read_text())
    (one,) = run["implementations"]
    return result.stdout.str(), {"settings": run["settings"]} | {k: v for k, v in one.items() if k != "seconds"}


def test_every_run_asks_the_same(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, with other seeds of Python's own, find the same on the same cases; both say that it is so."""
    said = []
    for number in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", number)
        said.append(asked(project, processes=True))

    assert said[0][1] == said[1][1]
    assert said[0][1]["settings"]["seed"] is None
    assert "normcheck: --norm-effort default, the same cases in every run" in said[0][0]


@pytest.mark.parametrize("processes", [False, True], ids=["here", "in two workers"])
def test_a_random_seed_is_said_and_repeats_the_run(project: pytest.Pytester, processes: bool) -> None:
    """The number that the header says finds the same cases again, and workers search under the same number."""
    workers = ("-n", "2") if processes else ()
    text, drawn = asked(project, "--norm-seed", "random", *workers, processes=processes)
    (number,) = set(re.findall(r"--norm-seed (\d+)", text))
    _, again = asked(project, "--norm-seed", number)

    assert drawn["settings"]["seed"] == int(number)
    assert again == drawn
    assert f"Cases asked: --norm-effort default --norm-seed {number}." in text


def test_another_seed_asks_other_cases(project: pytest.Pytester) -> None:
    """Else a random seed would search nothing new."""
    found = [asked(project, "--norm-seed", number)[1] for number in ("1", "2", "3")]

    assert len({json.dumps([one["findings"], one["compared"]]) for one in found}) > 1


def test_random_draws_another_number_each_time(project: pytest.Pytester) -> None:
    seeds = {asked(project, "--norm-seed", "random", "--norm-effort", "quick")[1]["settings"]["seed"] for _ in range(3)}

    assert len(seeds) == 3


def test_the_number_of_hypothesis_is_taken(project: pytest.Pytester) -> None:
    """A project that seeds all its tests with Hypothesis' option seeds these too."""
    assert asked(project, "--hypothesis-seed", "5")[1]["settings"]["seed"] == 5


def test_the_fixture_searches_under_the_number(project: pytest.Pytester) -> None:
    """In a project that names no implementation on the command line the number is said all the same."""
    project.makepyfile(
        test_mine="""
        from rare import rare

        def test_mine(normcheck, monkeypatch):
            from normcheck.engine import asker
            monkeypatch.setattr(asker, "search", lambda subject, check, effort: print("under", effort.seed) or 1 / 0)
            normcheck.verify(rare, as_="layer_norm")
        """
    )
    text = project.runpytest_inprocess("-p", "no:cacheprovider", "--norm-seed", "random").stdout.str()

    assert re.findall(r"normcheck: --norm-seed (\d+)", text) == re.findall(r"^under (\d+)", text, re.MULTILINE)


@pytest.mark.parametrize("word", ["-1", "soon", "1.5"])
def test_a_word_that_is_no_seed(project: pytest.Pytester, word: str) -> None:
    result = project.runpytest_inprocess(*CHOSEN, f"--norm-seed={word}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--norm-seed {word}: a seed is a number from 0 on, or the word random"])


# What broke before

WIDTH = 37
"""No check draws sets of this many members."""

CONFTEST = """
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

settings.register_profile("shared", database=DirectoryBasedExampleDatabase("examples"))
settings.load_profile("shared")
"""


def wrong_at(width: int) -> Subject:
    """Sound for sets of every other size."""
    sound = faults.subject(get("layer_norm"))

    def call(case: Any, gradient: bool) -> Answer:
        answer = sound.call(case, gradient)
        return replace(answer, y=answer.y + 1.0) if case.x.shape[-1] == width else answer

    return replace(sound, call=call)


def test_a_case_that_is_remembered_is_asked() -> None:
    """The same search without a memory finds nothing; with it, the case that is kept, and keeps what is found."""
    subject, check, database = wrong_at(WIDTH), CHECKS_BY_NAME["value"], InMemoryExampleDatabase()
    memory = FailingCases(database)
    memory.keep(subject, check, encode("value", Draw(n=WIDTH)))

    assert search(subject, check, Effort(2)).finding is None
    for _ in range(2):
        found = search(subject, check, Effort(2, memory=memory)).finding
        assert found is not None
        assert found.replay == "value/n=37"
    assert [draw.n for draw in memory.draws(subject, CHECKS_BY_NAME["value"])] == [WIDTH]


def test_what_holds_again_is_forgotten() -> None:
    """So is what this version cannot read, and what another check has asked."""
    subject, check, memory = wrong_at(0), CHECKS_BY_NAME["value"], FailingCases(InMemoryExampleDatabase())
    for text in (encode("value", Draw(n=WIDTH)), "value/wide=9", "moments/n=3", ""):
        memory.keep(subject, check, text)

    assert search(subject, check, Effort(2, memory=memory)).finding is None
    assert list(memory.draws(subject, check)) == []


def test_each_check_of_each_target_has_its_own_cases() -> None:
    subject, memory = wrong_at(WIDTH), FailingCases(InMemoryExampleDatabase())
    memory.keep(subject, CHECKS_BY_NAME["value"], encode("value", Draw(n=WIDTH)))

    assert not list(memory.draws(subject, CHECKS_BY_NAME["moments"]))
    assert not list(memory.draws(replace(subject, name="mine.py:other"), CHECKS_BY_NAME["value"]))
    assert not list(memory.draws(faults.subject(get("rms_norm")), CHECKS_BY_NAME["value"]))


def test_the_hidden_folder_of_hypothesis_is_left_alone() -> None:
    """Only a profile that a project has loaded changes what is asked."""
    assert shared() == NOTHING


def texts(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.glob("*/*")]


def test_a_profile_shares_its_database(project: pytest.Pytester, request: pytest.FixtureRequest) -> None:
    """What a run finds is kept there, in words that anybody can read, until the code is mended."""
    project.makeconftest(CONFTEST)
    before = settings.get_current_profile_name()
    request.addfinalizer(lambda: settings.load_profile(before))
    found = asked(project)[1]["findings"]
    kept = [
        text for path in (project.path / "examples").glob("*/*") if (text := path.read_text()).startswith("affine-map/")
    ]

    assert found
    assert kept == [(one["smallest"] or one["replay"]).partition("--norm-replay ")[2] for one in found]

    project.makepyfile(rare=RARE.replace("return y + 1.0 if", "return y if"))
    assert asked(project)[1]["verdict"] == "passed"
    assert not set(texts(project.path / "examples")) & set(kept)


@pytest.mark.parametrize(
    ("dist", "scheduler"), [((), "WorkStealingScheduling"), (("--dist", "loadfile"), "LoadFileScheduling")]
)
def test_a_worker_without_questions_takes_some(project: pytest.Pytester, dist: tuple[str, ...], scheduler: str) -> None:
    """Questions differ in cost by a factor of a hundred; who names another distribution has it."""
    project.makeconftest(
        "def pytest_sessionfinish(session):\n"
        "    scheduling = session.config.pluginmanager.get_plugin('dsession')\n"
        "    if scheduling is not None:\n"
        "        print(type(scheduling.sched).__name__)\n"
    )
    ran = project.runpytest_subprocess("--norm", "layer_norm=rare.py:rare", "-k", "value", "-n", "1", *dist, "-s")

    ran.stdout.fnmatch_lines([f"*{scheduler}*"])
