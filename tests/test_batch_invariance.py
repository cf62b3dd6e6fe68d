"""The bits of a case in batches of other sizes: noted, and demanded where it is declared."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import normcheck
from normcheck.core.ask import run_check
from normcheck.core.claim import Implementation
from normcheck.core.result import PASSED
from normcheck.families import CHECKS_BY_NAME
from normcheck.families import bind as subject

BLOCKS = str(Path(__file__).parent / "user_code" / "wrong" / "precision.py") + ":blocks_by_rows"


def test_an_order_of_summation_that_changes_at_256_rows_is_noted() -> None:
    verdict = normcheck.check(BLOCKS, "rms_norm")

    assert verdict.ok
    assert verdict.information["batch-invariant"].startswith("not in batches of 256 cases or more: y float32 by ")
    assert "dx float32 by " in verdict.information["batch-invariant"]


def test_it_is_one_cause_where_the_bits_are_declared() -> None:
    verdict = normcheck.check(BLOCKS, "rms_norm", contract={"batch-invariant": "yes"}, effort="quick")

    assert [one["name"] for one in verdict.causes] == ["order-changes-with-rows"]
    assert verdict.causes[0]["declare"] == "batch-invariant=any"
    assert "not in batches of 256 cases or more" in verdict.findings[0].detail


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm", "group_norm", "instance_norm"])
def test_the_functions_of_torch_keep_the_bits(kind: str) -> None:
    verdict = normcheck.check(f"torch.nn.functional:{kind}", kind, contract={"batch-invariant": "yes"}, effort="quick")

    assert verdict.ok


FIXED = """
import torch
class TwoPaths(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n, self.weight = n, torch.nn.Parameter(torch.ones(n))
    def forward(self, x):
        if len(x) < 4096:
            return torch.nn.functional.rms_norm(x, (self.n,), self.weight, 1e-6)
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * self.weight
"""


@pytest.mark.parametrize("n", [64, 100])
def test_a_layer_of_fixed_sizes_is_asked_in_large_batches(n: int, tmp_path: Path) -> None:
    """Its time in a large batch is estimated on some of the cases, not on another width, which it refuses."""
    (tmp_path / "nc_fixed.py").write_text(f"{FIXED}layer = TwoPaths({n})\n")
    mine = subject(Implementation("rms_norm", f"{tmp_path / 'nc_fixed.py'}:layer"))
    check = CHECKS_BY_NAME["batch-invariance"]

    found = run_check(mine, check, check.space.explicit_examples(mine))

    assert found.absent == {}
    assert found.notes["batch-invariant"].startswith("not in batches of 4,096 cases or more: y float32 by ")


PIECES = BLOCKS.rpartition(":")[0]


def test_an_order_of_summation_that_changes_with_threads_is_noted() -> None:
    before = torch.get_num_threads()

    verdict = normcheck.check(f"{PIECES}:parts_by_threads", "rms_norm")

    assert verdict.ok
    same, apart = verdict.information["batch-invariant"].split("; ")
    assert same == "bit for bit in batches of 1 to 4,096 cases, from run to run"
    assert apart.startswith("not on one thread and on two: y float32 by ")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("name", "cause", "words"), [
    ("parts_by_threads", "order-changes-with-threads", "not on one thread and on two: y float32 by "),
    ("blocks_as_they_are_ready", "order-changes-with-threads", "not from run to run: dweight float32 by "),
])  # fmt: skip
def test_threads_and_runs_are_demanded_beyond_batches(name: str, cause: str, words: str) -> None:
    target = f"{PIECES}:{name}"

    verdict = normcheck.check(target, "rms_norm", contract={"batch-invariant": "yes"}, effort="quick")

    assert [(one["name"], one["declare"]) for one in verdict.causes] == [(cause, "batch-invariant=rows")]
    assert words in verdict.findings[0].detail
    assert normcheck.check(target, "rms_norm", contract={"batch-invariant": "rows"}, effort="quick").ok


def test_gradients_on_more_threads_are_noted_and_not_demanded() -> None:
    """Each thread of torch's layer norm adds up its own cases."""
    mine = subject(Implementation("layer_norm", "torch.nn.functional:layer_norm", {"batch-invariant": "yes"}))
    check = CHECKS_BY_NAME["batch-invariance"]

    found = run_check(mine, check, check.space.explicit_examples(mine))

    assert found.status == PASSED
    assert "not on one thread and on two: dweight float32 by " in found.notes["batch-invariant"]


@pytest.mark.parametrize(("target", "kind"), [
    ("torch.nn:BatchNorm1d", "batch_norm"), ("torch:_weight_norm", "weight_norm"),
    ("normcheck.implementations.recurrent:LNLSTM", "recurrent_layer_norm"),
])  # fmt: skip
def test_the_demand_is_refused_where_it_is_not_checked(target: str, kind: str) -> None:
    """Nothing is said to hold that nobody has asked."""
    with pytest.raises(normcheck.UsageError, match=f"batch-invariant=yes: .* are not checked for {kind}"):
        normcheck.check(target, kind, contract={"batch-invariant": "yes"}, effort="quick")
