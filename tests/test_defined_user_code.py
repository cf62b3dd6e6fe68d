"""Defined kinds in the styles of public code: what is right passes, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import sweep

import normcheck

CODE = Path(__file__).parent / "user_code" / "defined"

LENGTHS, BRANCHES, WINDOWS = "weighted_l2_norm", "sandwich_norm", "divisive_norm"
GRAPHS, PAIRS, WEIGHTS = "batched_graph_norm", "batched_pair_norm", "orthogonal_parametrization"

RIGHT = [
    (LENGTHS, "lengths.py:L2Norm"),
    (LENGTHS, "lengths.py:ScaledNormalize"),
    (LENGTHS, "lengths.py:inside"),
    (BRANCHES, "residuals.py:post_sublayer"),
    (BRANCHES, "residuals.py:ThirdLayerNorm"),
    (WINDOWS, "divisive.py:DivNorm2d"),
    (WINDOWS, "divisive.py:WithoutAffine"),
    (WINDOWS, "divisive.py:unfolded"),
    (GRAPHS, "batched_graphs.py:GraphNorm"),
    (GRAPHS, "batched_graphs.py:OneHotGraphNorm"),
    (PAIRS, "batched_graphs.py:pair_of_each"),
    (WEIGHTS, "orthogonal.py:by_inverse"),
    (WEIGHTS, "orthogonal.py:CayleyLinear"),
    (WEIGHTS, "orthogonal.py:half_solved"),
    (WEIGHTS, "orthogonal.py:exponential"),
]

WRONG = [
    (LENGTHS, "lengths.py:OverTheMap", "weighted-l2-over-map"),
    (LENGTHS, "lengths.py:WeightFirst", "weighted-l2-weight-first"),
    (LENGTHS, "lengths.py:InItsInput", "defined-input-overwritten"),
    (LENGTHS, "lengths.py:NormOfData", "weighted-l2-length-is-constant"),
    (BRANCHES, "residuals.py:PostNorm", "sandwich-sum-normalized"),
    (BRANCHES, "residuals.py:StreamNormalized", "sandwich-residual-normalized"),
    (BRANCHES, "residuals.py:StreamDetached", "sandwich-residual-is-constant"),
    (WINDOWS, "divisive.py:OtherWindow", "divisive-divided-by-other-window"),
    (WINDOWS, "divisive.py:SigmaSquaredAgain", "divisive-eps-squared"),
    (WINDOWS, "divisive.py:EachChannel", "divisive-each-channel"),
    (WINDOWS, "divisive.py:VarianceOfWindow", "divisive-variance-of-window"),
    (GRAPHS, "batched_graphs.py:OfAllNodes", "batched-graph-over-all-nodes"),
    (GRAPHS, "batched_graphs.py:CountOfFirst", "batched-graph-count-of-first"),
    (GRAPHS, "batched_graphs.py:Padded", "batched-graph-padding-counted"),
    (GRAPHS, "batched_graphs.py:BehindEmpty", "batched-graph-shifted-by-empty"),
    (PAIRS, "batched_graphs.py:pair_over_all", "batched-pair-over-all-nodes"),
    (PAIRS, "batched_graphs.py:pair_one_distance", "batched-pair-one-distance"),
    (PAIRS, "batched_graphs.py:pair_count_of_first", "batched-pair-count-of-first"),
    (WEIGHTS, "orthogonal.py:symmetric", "orthogonal-not-skew"),
    (WEIGHTS, "orthogonal.py:series", "orthogonal-series"),
    (WEIGHTS, "orthogonal.py:inverse_alone", "orthogonal-inverse-alone"),
    (WEIGHTS, "orthogonal.py:other_map", "orthogonal-other-map"),
]


@sweep(("kind", "target"), RIGHT, ids=lambda word: word.rpartition(":")[2])
def test_right_code_passes(kind: str, target: str) -> None:
    found = normcheck.check(f"{CODE}/{target}", as_=kind, effort="quick")

    assert found.ok
    assert not found.warnings


@sweep(("kind", "target", "fault"), WRONG, ids=lambda word: word.rpartition(":")[2])
def test_wrong_code_is_named(kind: str, target: str, fault: str) -> None:
    found = normcheck.check(f"{CODE}/{target}", as_=kind, effort="quick")

    assert found.causes[0]["name"] == fault


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("L2Norm", {"eps": "1e-10", "eps_place": "added"}),
        ("ScaledNormalize", {"eps": "1e-12", "eps_place": "floor"}),
        ("inside", {"eps_place": "inside"}),
    ],
)
def test_the_place_of_an_eps_is_measured_with_it(target: str, words: dict[str, str]) -> None:
    """A floor is told from a sum where the input is smaller than it."""
    found = normcheck.check(f"{CODE}/lengths.py:{target}", as_=LENGTHS, effort="smoke")

    assert {name: found.not_checked[name].rpartition(" is ")[2] for name in words} == words


def test_windows_and_what_counts_outside_are_measured() -> None:
    found = normcheck.check(f"{CODE}/divisive.py:DivNorm2d", as_=WINDOWS, effort="smoke")
    inside = normcheck.check(f"{CODE}/divisive.py:WithoutAffine", as_=WINDOWS, effort="smoke")

    assert found.not_checked["sum_window"] == "takes no sum_window; the fixed one is 3"
    assert found.not_checked["count_include_pad"] == "takes no count_include_pad; the fixed one is 1"
    assert inside.not_checked["count_include_pad"] == "takes no count_include_pad; the fixed one is 0"


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("by_inverse", ("cayley", "whole", "-1")),
        ("CayleyLinear", ("cayley", "upper", "1")),
        ("half_solved", ("cayley", "lower", "0.5")),
        ("exponential", ("matrix_exp", "lower", "0.5")),
    ],
)
def test_the_map_is_measured(name: str, forms: tuple[str, ...]) -> None:
    found = normcheck.check(f"{CODE}/orthogonal.py:{name}", as_=WEIGHTS, effort="smoke").not_checked
    words = ("orthogonal_map", "triangle", "skew_scale")

    assert tuple(found[word].rpartition(" is ")[2] for word in words) == forms


def test_a_wrong_coefficient_of_a_series_is_found() -> None:
    """That of torch's exponential, pytorch#196592: right to ten digits in float64, and for most weights to all."""
    found = normcheck.check(f"{CODE}/orthogonal.py:wrong_coefficient", as_=WEIGHTS, effort="quick")

    assert "defined-output" in found.causes[0]["checks"]


def test_parameters_that_may_be_left_out_are_taken_as_neutral_and_told() -> None:
    found = normcheck.check(f"{CODE}/divisive.py:unfolded", as_=WINDOWS, effort="smoke")

    assert found.ok
    assert found.not_checked["weight"] == "takes no weight: 1 is assumed"
    assert found.not_checked["bias"] == "takes no bias: 0 is assumed"


def test_parameters_that_a_kind_needs_are_still_demanded() -> None:
    with pytest.raises(normcheck.NormcheckError, match="takes no batch, which batched_pair_norm has"):
        normcheck.check("normcheck.implementations.defined:pair_norm", as_=PAIRS, effort="smoke")


def test_code_that_takes_a_batch_vector_is_right_for_one_graph_too() -> None:
    layers = "normcheck.implementations.batched_graphs"

    assert normcheck.check(f"{layers}:BatchedGraphNorm", as_="graph_norm", effort="quick").ok
    assert normcheck.check(f"{layers}:BatchedPairNorm", as_="pair_norm", effort="quick").ok
