"""Divided norms in styles of libraries: right ones pass, and what is wrong in them is named."""

from __future__ import annotations

import pytest
from test_ranks import CODE, outcomes

from normcheck.core.result import FAILED, PASSED

STYLES = CODE / "styles.py"
VALUES = ("sync-output", "sync-input-gradient", "sync-parameter-gradients")
SHARED = (*VALUES, "sync-empty-shard", "sync-groups")


@pytest.mark.parametrize(
    ("kind", "name", "checks"),
    [
        ("sync_batch_norm", "HandWritten", (*SHARED, "sync-running")),
        ("sync_batch_norm", "Merged", (*SHARED, "sync-running", "sync-other-cases")),
        ("tensor_parallel_rms_norm", "WidthDivided", SHARED),
        ("tensor_parallel_rms_norm", "of_torch", VALUES),
        ("sequence_parallel_layer_norm", "weight_required", (*SHARED, "sync-other-cases")),
    ],
)
def test_right_code_passes(kind: str, name: str, checks: tuple[str, ...]) -> None:
    found = outcomes(f"{kind}={STYLES}:{name}", *checks)

    assert [(one.check, one.reason, one.finding) for one in found if one.status != PASSED] == []
    assert all(one.compared for one in found[1:])


@pytest.mark.parametrize(
    ("kind", "name", "check", "fault"),
    [
        ("sync_batch_norm", "BackwardTimesRanks", "sync-input-gradient", "sync-backward-times-ranks"),
        ("sync_batch_norm", "ReadTooEarly", "sync-output", "sync-own-mean"),
        ("sync_batch_norm", "FirstRankStatistics", "sync-output", "sync-first-rank-statistics"),
        ("sync_batch_norm", "OneVariance", "sync-output", "sync-unbiased-variance"),
        ("tensor_parallel_rms_norm", "EpsOutside", "sync-output", "sync-eps-outside-root"),
        ("sequence_parallel_layer_norm", "bias_forgotten", "sync-parameter-gradients", "sync-parameters-partial"),
    ],
)
def test_wrong_code_is_found_and_named(kind: str, name: str, check: str, fault: str) -> None:
    *_, found = outcomes(f"{kind}={STYLES}:{name}", check)

    assert found.status == FAILED
    assert found.diagnosis[0] == fault


def test_none_is_a_value_of_a_weight_that_has_it_as_default() -> None:
    """A parameter without a default may refuse it; one that says it takes None must take it."""
    *_, found = outcomes(f"sequence_parallel_layer_norm={STYLES}:weight_may_be_none", "sync-output")

    assert found.status == FAILED
    assert found.finding is not None
    assert "raised AttributeError" in found.finding.detail
