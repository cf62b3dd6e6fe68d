"""Ids of the suite's tests: what pytest prints can be given to it again."""

from __future__ import annotations

import pytest

NAMED = "--norm=layer_norm=torch.nn.functional:layer_norm"
ONE = "test_accuracy.py::test_accuracy[layer_norm=torch.nn.functional:layer_norm-value]"


def ids(result: pytest.RunResult) -> list[str]:
    """The ids that --co -q prints."""
    return [line for line in result.outlines if "::" in line]


def test_an_id_that_is_printed_can_be_given_again(pytester: pytest.Pytester) -> None:
    every = ids(pytester.runpytest(NAMED, "--co", "-q"))
    assert ONE in every
    assert len(set(every)) == len(every) > 50

    assert ids(pytester.runpytest(NAMED, "--co", "-q", ONE)) == [ONE]
    of_function = ids(pytester.runpytest(NAMED, "--co", "-q", ONE.partition("[")[0]))
    assert of_function == [one for one in every if one.startswith("test_accuracy.py::test_accuracy[")]
    both = ids(pytester.runpytest(NAMED, "--co", "-q", "test_grid.py", ONE))
    assert both == [one for one in every if one == ONE or one.startswith("test_grid.py::")]

    ran = pytester.runpytest(NAMED, "-p", "no:cacheprovider", ONE)
    ran.assert_outcomes(passed=1, deselected=len(every) - 1)
    ran.stdout.fnmatch_lines(["In part: without * checks that this run did not select."])


def test_a_file_of_the_project_comes_first(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_grid="def test_own(): pass")

    assert ids(pytester.runpytest(NAMED, "--co", "-q", "test_grid.py")) == ["test_grid.py::test_own"]
    both = ids(pytester.runpytest(NAMED, "--co", "-q", "test_grid.py", ONE))
    assert both == ["test_grid.py::test_own", ONE]


def test_what_is_not_there_is_said(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest(NAMED, "test_grit.py::test_grid")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: file or directory not found: test_grit.py*"])
