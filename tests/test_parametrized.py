"""A test of a project that is parametrized over sizes of its own: each is checked, and only the wrong one fails."""

from __future__ import annotations

import json

import pytest

LAYER = """
import torch

class Norm(torch.nn.Module):
    def __init__(self, features, eps=1e-5):
        super().__init__()
        self.features, self.eps = features, eps
        self.weight = torch.nn.Parameter(torch.ones(features))
        self.bias = torch.nn.Parameter(torch.zeros(features))

    def forward(self, x):
        y = torch.nn.functional.layer_norm(x, (self.features,), self.weight, self.bias, self.eps)
        return y * 1.01 if self.features == 24 else y
"""
TESTS = """
import mine
import pytest

@pytest.mark.parametrize("features", [6, 24, 40])
def test_mine(normcheck, features):
    normcheck.verify(mine.Norm(features), as_="layer_norm", effort="smoke")
"""


def test_each_size_is_checked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(mine=LAYER, test_own=TESTS)
    result = pytester.runpytest("-p", "no:cacheprovider", "-rA", "--norm-json", "out.json")

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_own.py::test_mine[[]24[]]*"])
    (one,) = json.loads((pytester.path / "out.json").read_text())["implementations"]
    assert one["verdict"] == "failed"
    assert {finding["case"]["shape"][-1] for finding in one["findings"]} == {24}
