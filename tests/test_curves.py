"""What the plots of accuracy are drawn from."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema
import pytest

from normcheck import families
from normcheck.core.ask import run_check
from normcheck.core.result import Outcome, outcome
from normcheck.engine import verdict
from normcheck.families import CHECKS_BY_NAME
from normcheck.normalizers import faults
from normcheck.normalizers.sampling.recipes import Draw
from normcheck.normalizers.subject import Subject

LAYER_NORM = families.get("layer_norm")


def outcome_of(subject: Subject, check: str, **changes: object) -> Outcome:
    draw = Draw(**{"n": 64, "sets": 12, "format": "float32", "offset": 300.0} | changes)
    return run_check(subject, CHECKS_BY_NAME[check], [draw])


def curves(subject: Subject, check: str, **changes: object) -> dict[str, dict[str, list[list[float]]]]:
    return verdict.curves(outcome_of(subject, check, **changes).metrics)


def test_an_error_that_grows_with_conditioning_is_seen_to_grow() -> None:
    found = curves(faults.subject(LAYER_NORM, faults.get("one-pass-variance")), "value")["forward float32"]["condition"]

    assert found[0][0] == 1.0
    assert found[-1][0] >= 128.0
    assert found[-1][1] > 30.0 * found[0][1]
    assert found[0][1] < 1.0 < found[-1][1]


@pytest.mark.parametrize(("check", "place"), [("value", "forward float32"), ("input-gradient", "backward float32")])
def test_a_sound_kernel_stays_below_one_everywhere(check: str, place: str) -> None:
    found = curves(faults.subject(LAYER_NORM), check)[place]

    assert len(found["condition"]) > 3
    assert all(0.0 <= share < 1.0 for points in found.values() for _, share in points)
    assert [n for n, _ in found["width"]] == [64]


def test_the_largest_share_of_the_curve_is_that_of_the_bound() -> None:
    one = outcome_of(faults.subject(LAYER_NORM), "value")
    found = verdict.curves(one.metrics)["forward float32"]

    assert max(share for _, share in found["condition"]) == one.bound_ratio == found["width"][0][1]


def test_infinity_travels_as_a_word_and_fits_the_schema() -> None:
    schema = json.loads((files("normcheck") / "report" / "schema.json").read_text())
    one = outcome_of(faults.subject(LAYER_NORM, faults.get("one-pass-variance")), "value", offset=1e5)
    metrics = {**one.metrics, "curve/forward float32/condition/9": float("inf")}
    record = json.loads(
        json.dumps(verdict.implementation(one.kind, one.target, [outcome({**one.record(), "metrics": metrics})]))
    )

    assert [512.0, "inf"] in record["curves"]["forward float32"]["condition"]
    jsonschema.validate(record, {"$defs": schema["$defs"], "$ref": "#/$defs/implementation"})


def test_the_distance_from_every_gradient_mode_is_kept() -> None:
    one = outcome_of(faults.subject(LAYER_NORM), "gradient-mode", offset=1.0)
    found = verdict.gradient_shares(one.metrics)

    assert found["full"] < 1.0
    assert min(found[name] for name in found if name != "full") > 10.0
