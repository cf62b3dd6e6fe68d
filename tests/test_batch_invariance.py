"""The bits of a case in batches of other sizes: noted, and demanded where it is declared."""

from __future__ import annotations

from pathlib import Path

import pytest

import normcheck

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


@pytest.mark.parametrize(("target", "kind"), [
    ("torch.nn:BatchNorm1d", "batch_norm"), ("torch:_weight_norm", "weight_norm"),
    ("normcheck.implementations.recurrent:LNLSTM", "recurrent_layer_norm"),
])  # fmt: skip
def test_the_demand_is_refused_where_it_is_not_checked(target: str, kind: str) -> None:
    """Nothing is said to hold that nobody has asked."""
    with pytest.raises(normcheck.UsageError, match=f"batch-invariant=yes: .* are not checked for {kind}"):
        normcheck.check(target, kind, contract={"batch-invariant": "yes"}, effort="quick")
