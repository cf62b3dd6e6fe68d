"""Layers of defined normalizers as users write them: units in axis 1, normalized weights, fixed constants."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import sweep

import normcheck

CODE = Path(__file__).parent / "user_code" / "defined"

RIGHT = [
    ("weight_standardization", "weight_layers.py:WSConv2d"),
    ("weight_standardization", "weight_layers.py:StdConv2d"),
    ("weight_standardization", "weight_layers.py:StandardizedLinear"),
    ("centered_weight_norm", "weight_layers.py:CenteredLinear"),
    ("dynamic_tanh", "channels_first.py:DynamicTanh2d"),
    ("global_response_norm", "channels_first.py:GlobalResponseNorm2d"),
    ("dynamic_erf", "names.py:DynamicErf"),
    ("dynamic_tanh", "names.py:TanhWithNumbers"),
    ("deep_norm", "names.py:DeepNorm"),
    ("dynamic_tanh", "names.py:TanhThenAffine"),
    ("filter_response_norm", "names.py:FilterResponse"),
    ("ghost_batch_norm", "names.py:GhostBatchNorm"),
    ("switchable_norm", "names.py:SwitchNorm"),
    ("dynamic_tanh", "names.py:TanhOfA"),
    ("dynamic_erf", "names.py:ErfWithBeta"),
    ("batch_renorm", "names.py:BatchRenorm"),
    ("filter_response_norm", "sums.py:filter_response"),
]

WRONG = [
    ("global_response_norm", "ResponseWithoutInput", "grn-residual-missing"),
    ("weight_standardization", "StandardizedOverUnits", "standardized-over-units"),
    ("weight_standardization", "CentersOverUnits", "standardized-centered-only"),
    ("dynamic_tanh", "TanhTimesA", "dyt-alpha-outside"),
]


@sweep(("kind", "target"), RIGHT, ids=lambda word: word.rpartition(":")[2])
def test_right_layers_pass(kind: str, target: str) -> None:
    assert normcheck.check(f"{CODE}/{target}", as_=kind).ok


def test_parameters_whose_role_nothing_tells_are_refused_with_the_names_that_are_known() -> None:
    with pytest.raises(normcheck.NormcheckError, match=r"a \(3,\), b \(3,\) have no known role.* names: mean_weight"):
        normcheck.check(f"{CODE}/names.py:SwitchNormOfAAndB", as_="switchable_norm", effort="smoke")


@sweep(("kind", "name", "fault"), WRONG)
def test_wrong_layers_fail_for_one_cause(kind: str, name: str, fault: str) -> None:
    found = normcheck.check(f"{CODE}/wrong.py:{name}", as_=kind, effort="quick")

    assert [cause["name"] for cause in found.causes] == [fault]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("spatially_adaptive_norm", "spatially_adaptive"),
        ("deep_norm", "deep"),
        ("graph_norm", "graph"),
        ("pair_norm", "pair"),
        ("switchable_norm", "switchable"),
    ],
)
@pytest.mark.parametrize("format", ["float64", "float32"])
def test_variances_in_one_pass_fail_in_each_format(kind: str, name: str, format: str) -> None:
    target, contract = f"{CODE}/one_pass.py:{name}", {"formats": format}
    found = normcheck.check(target, as_=kind, effort="quick", contract=contract)

    assert "defined-output" in {check for cause in found.causes for check in cause["checks"]}


@pytest.mark.parametrize(
    ("kind", "name", "fault"),
    [
        ("mean_subtraction_norm", "centered_in_one_buffer", "defined-buffer-reused"),
        ("pixel_norm", "pixel_in_the_cotangent", "defined-cotangent-overwritten"),
    ],
)
def test_memory_of_results_and_cotangents_is_not_written_to(kind: str, name: str, fault: str) -> None:
    found = normcheck.check(f"{CODE}/memory.py:{name}", as_=kind, effort="quick")

    assert [cause["name"] for cause in found.causes] == [fault]


def test_an_eps_in_float32_is_a_warning_or_declared() -> None:
    target, kind = f"{CODE}/eps_formats.py:FilterResponseNorm2d", "filter_response_norm"
    found = normcheck.check(target, as_=kind, effort="quick")
    declared = normcheck.check(target, as_=kind, effort="quick", contract={"eps-format": "float32"})

    assert [one["name"] for one in found.warnings] == ["eps-in-float32"]
    assert found.ok
    assert declared.ok
    assert not declared.warnings


@pytest.mark.parametrize("name", ["EpsOfHalf", "EpsOfItsOwn"])
def test_a_wrong_eps_in_float32_fails(name: str) -> None:
    assert not normcheck.check(f"{CODE}/eps_formats.py:{name}", as_="filter_response_norm", effort="quick").ok


@pytest.mark.parametrize(
    ("name", "constants"), [("WSConv2d", {"eps": "1e-05", "correction": "1"}),
                            ("StdConv2d", {"eps": "1e-10", "correction": "0"})],
)  # fmt: skip
def test_constants_that_a_layer_does_not_take_are_measured(name: str, constants: dict[str, str]) -> None:
    found = normcheck.check(f"{CODE}/weight_layers.py:{name}", as_="weight_standardization", effort="smoke")

    for constant, value in constants.items():
        assert f"takes no {constant}; the fixed one is {value}" in found.not_checked.values()


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [
        ("switchable_norm", "SwitchNorm2d", "inputs transposed, padded rows"),
        ("weight_standardization", "WSConv2d", "inputs transposed, channels last"),
    ],
)
def test_layouts_that_a_layer_refuses_are_not_checked(kind: str, name: str, what: str) -> None:
    found = normcheck.check(f"{CODE}/layouts.py:{name}", as_=kind, effort="quick")

    assert found.ok
    assert "view size is not compatible" in found.not_checked[what]


def test_layouts_that_a_layer_takes_are_checked() -> None:
    found = normcheck.check(f"{CODE}/layouts.py:InOrderOfMemory", as_="pixel_norm", effort="quick")

    assert "defined-layout" in {check for cause in found.causes for check in cause["checks"]}


def test_units_in_axis_1_are_noted_or_declared() -> None:
    target = f"{CODE}/channels_first.py:DynamicTanh2d"
    found = normcheck.check(target, as_="dynamic_tanh", effort="smoke")
    declared = normcheck.check(target, as_="dynamic_tanh", effort="smoke", contract={"axis": "1"})

    assert "axis=1: its units are axis 1" in str(found)
    assert found.ok
    assert declared.ok


def test_an_axis_is_refused_where_units_are_not_the_last_one() -> None:
    target = "normcheck.implementations.defined:weight_standardization"
    with pytest.raises(
        normcheck.UsageError, match="contract axis=1: weight_standardization does not have its units in the last axis"
    ):
        normcheck.check(target, as_="weight_standardization", effort="smoke", contract={"axis": "1"})
