"""Statistics over wrong axes are named as such, whichever axes of which rank they are."""

from __future__ import annotations

from pathlib import Path

import pytest

import normcheck

CODE = Path(__file__).parent / "user_code" / "axes.py"

WRONG = "statistics-over-wrong-axis"

PIECES = {
    "layer_norm": {
        "layer_all_but_the_first": WRONG, "layer_last_two": WRONG, "layer_first": WRONG, "layer_second": WRONG,
        "layer_second_to_last": WRONG, "layer_all": "cases-shared",
    },
    "batch_norm": {"batch_cases": "positions-apart", "batch_without_the_last": WRONG},
    "instance_norm": {
        "instance_last": WRONG, "instance_channels_too": WRONG, "instance_cases_too": "cases-shared",
        "instance_channels": WRONG,
    },
    "group_norm": {
        "group_channels": "positions-apart", "group_positions": WRONG, "group_channels_and_columns": WRONG,
        "group_cases_too": "cases-shared",
    },
}  # fmt: skip


@pytest.mark.parametrize(("kind", "piece"), [(kind, piece) for kind, some in PIECES.items() for piece in some])
def test_wrong_axes_are_one_cause(kind: str, piece: str) -> None:
    verdict = normcheck.check(f"{CODE}:{piece}", as_=kind, effort="smoke")

    assert [cause["name"] for cause in verdict.causes] == [PIECES[kind][piece]], str(verdict)
