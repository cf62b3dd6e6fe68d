"""What a callable computes, measured from its outputs: kind and every convention, of torch and of others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from normcheck import families
from normcheck.core.contract import contract, words
from normcheck.core.errors import UsageError
from normcheck.identify.identify import identify
from normcheck.identify.identity_report import IdentityReport
from normcheck.report.terminal.card import card_lines

CODE = str(Path(__file__).parent / "user_code" / "conventions.py")

UNITS = "entries along unit, one for each case"
WORDS: dict[str, tuple[str, bool, str]] = {
    "layer_norm": (UNITS, True, "root of the variance"),
    "rms_norm": (UNITS, False, "root of the mean square"),
    "partial_rms_norm": (f"{UNITS}, read from the first 3 of 12", False, "root of the mean square"),
    "group_norm": ("entries along channel and position, one for each case and group", True, "root of the variance"),
    "instance_norm": ("entries along position, one for each case and channel", True, "root of the variance"),
    "batch_norm": ("entries along case and position, one for each channel", True, "root of the variance"),
    "weight_norm": ("entries along entry, one for each vector", False, "root of the sum of squares"),
}
"""Of each kind: which entries share a statistic, whether the mean is subtracted, what divides."""

MACHINE = {"float64": 2.0**-52, "float32": 2.0**-23}


def both(eps: float) -> dict[str, float]:
    return {"float64": eps, "float32": eps}


TORCH: tuple[tuple[str, Any, Mapping[str, float], str], ...] = (
    ("layer_norm", "torch.nn.functional:layer_norm", both(1e-5), "wide"),
    ("rms_norm", "torch.nn.functional:rms_norm", MACHINE, "wide"),
    ("group_norm", "torch.nn.functional:group_norm", both(1e-5), "wide"),
    ("instance_norm", "torch.nn.functional:instance_norm", both(1e-5), "own"),
    ("batch_norm", "torch.nn.functional:batch_norm", both(1e-5), "own"),
    ("weight_norm", "torch:_weight_norm", both(0.0), "wide"),
    ("weight_norm", "torch.nn.utils:weight_norm", both(0.0), "wide"),
    ("layer_norm", "torch.nn:LayerNorm", both(1e-5), "wide"),
    ("rms_norm", "torch.nn:RMSNorm", MACHINE, "wide"),
    ("group_norm", "torch.nn:GroupNorm", both(1e-5), "wide"),
    ("instance_norm", "torch.nn:InstanceNorm2d", both(1e-5), "own"),
    ("batch_norm", "torch.nn:BatchNorm1d", both(1e-5), "own"),
    ("batch_norm", "torch.nn:BatchNorm2d", both(1e-5), "own"),
    ("batch_norm", torch.nn.BatchNorm2d(6, eps=1e-4, momentum=0.3), both(1e-4), "own"),
    ("layer_norm", torch.nn.LayerNorm((3, 4)), both(1e-5), "wide"),
)  # fmt: skip

FORMATS = "float32,bfloat16,float16"

OTHERS: tuple[tuple[str, str, Mapping[str, str], float], ...] = (
    ("T5LayerNorm", "rms_norm", {"formats": FORMATS}, 1e-6),
    ("GemmaRMSNorm", "rms_norm", {"formats": FORMATS, "weight": "1+w"}, 1e-6),
    ("flax_layer_norm", "layer_norm", {"accuracy": "one-pass"}, 1e-6),
    ("KerasBatchNormalization", "batch_norm", {"momentum": "old", "running-variance": "biased"}, 1e-3),
    ("FixedMomentumBatchNorm", "batch_norm", {"running-variance": "biased"}, 1e-5),
    ("biased_running_batch_norm", "batch_norm", {"running-variance": "biased"}, 1e-5),
    ("unbiased_layer_norm", "layer_norm", {"variance": "unbiased"}, 1e-5),
    ("outside_layer_norm", "layer_norm", {"eps-place": "outside"}, 1e-5),
    ("root_floor_rms_norm", "rms_norm", {"eps-place": "root-floor"}, 1e-6),
    ("axis_two_rms_norm", "rms_norm", {"shapes": "some"}, 1e-6),
    ("OneAxisRMSNorm", "rms_norm", {"shapes": "some"}, 1e-5),
    ("FilledRMSNorm", "rms_norm", {"initial": "any"}, 1e-5),
    ("mean_constant_layer_norm", "layer_norm", {"gradient": "mean-constant"}, 1e-5),
    ("variance_constant_layer_norm", "layer_norm", {"gradient": "variance-constant"}, 1e-5),
    ("statistics_constant_layer_norm", "layer_norm", {"gradient": "statistics-constant"}, 1e-5),
    ("fixed_eps_layer_norm", "layer_norm", {
        "variance": "unbiased", "eps-place": "outside", "accuracy": "half",
    }, 1e-6),
)  # fmt: skip


@pytest.fixture(scope="module")
def reports() -> dict[str, IdentityReport]:
    """Cards of the re-created conventions, made once."""
    return {name: identify(f"{CODE}:{name}") for name, *_ in OTHERS}


def name(one: Any) -> str | None:
    return one if isinstance(one, str) else None


@pytest.mark.parametrize(("kind", "target", "eps", "sums"), TORCH, ids=name)
def test_torch(kind: str, target: Any, eps: Mapping[str, float], sums: str) -> None:
    """Torch's own follow torch's conventions, and the measured row of Table 1 is the derived one."""
    report = identify(target)

    assert (report.kind, dict(report.contract), dict(report.eps)) == (kind, {}, eps)
    assert (report.sharing.words, report.centered, report.scaled_by) == WORDS[kind]
    assert report.eps_place == ("inside" if any(eps.values()) else "none")
    assert report.divisor == ("" if kind == "weight_norm" else "n")
    assert report.affine.weight == "w"
    assert report.affine.bias == ("added" if families.get(kind).bias else "none")
    assert report.gradient is not None
    assert report.gradient.mode == "full"
    assert report.gradient.b == pytest.approx(1.0)
    assert {half.sums for half in report.half.values()} == {sums}
    assert report.row == report.row_measured
    assert report.nearest[0][0] == kind
    assert report.line.startswith(f"pytest --norm {kind}=")


@pytest.mark.parametrize(
    ("target", "default"),
    [
        ("torch.nn.functional:batch_norm", 0.1), ("torch.nn.functional:instance_norm", 0.1),
        ("torch.nn:BatchNorm1d", 0.1), ("torch.nn:InstanceNorm2d", 0.1),
        (torch.nn.BatchNorm2d(6, momentum=0.3), 0.3), (f"{CODE}:KerasBatchNormalization", 0.99),
    ],
    ids=name,
)  # fmt: skip
def test_the_default_momentum_is_measured(target: Any, default: float) -> None:
    """The momentum that is used where none is given, in the meaning that was found."""
    report = identify(target)

    assert report.momentum == pytest.approx(default)
    assert report.running is not None
    assert report.running.evaluation == "running statistics"


@pytest.mark.parametrize(("attribute", "kind", "conventions", "eps"), OTHERS, ids=name)
def test_conventions(
    attribute: str, kind: str, conventions: Mapping[str, str], eps: float, reports: dict[str, IdentityReport]
) -> None:
    """Each convention that differs from torch's is named, and no other."""
    report = reports[attribute]

    assert (report.kind, dict(report.contract), dict(report.eps)) == (kind, conventions, both(eps))
    assert (report.sharing.words, report.centered, report.scaled_by) == WORDS[kind]
    assert words(contract(report.contract)) == conventions
    assert report.row == report.row_measured
    assert report.line == " ".join(
        [f"pytest --norm {kind}={CODE}:{attribute}", *(f"--norm-contract {k}={v}" for k, v in report.contract.items())]
    )


def test_the_order_of_cast_and_weight(reports: dict[str, IdentityReport]) -> None:
    """T5 casts down before the weight, Gemma and flax last; a batch norm in the format itself shows no order."""
    orders = {name: {half.cast for half in reports[name].half.values()} for name in reports}

    assert orders["T5LayerNorm"] == {"cast before the weight"}
    assert orders["GemmaRMSNorm"] == orders["flax_layer_norm"] == {"cast last"}
    assert orders["biased_running_batch_norm"] == {"not visible"}


def test_the_offset_at_which_accuracy_is_lost(reports: dict[str, IdentityReport]) -> None:
    """One pass loses a percent at a few hundred standard deviations, two passes at a hundred thousand."""
    one, two = reports["flax_layer_norm"].largest_offset, reports["unbiased_layer_norm"].largest_offset
    assert one is not None
    assert two is not None

    assert 100.0 <= one <= 1e3
    assert 3e4 <= two <= 1e6


def test_a_momentum_that_is_no_argument(reports: dict[str, IdentityReport]) -> None:
    """The weight of the new batch is measured."""
    found = reports["FixedMomentumBatchNorm"].running
    assert found is not None

    assert (found.momentum, found.variance) == ("fixed", "biased")
    assert found.new_weight == pytest.approx(0.01)


def test_the_fingerprint_of_a_gradient(reports: dict[str, IdentityReport]) -> None:
    """A and B of the closed form are fitted, not only the mode."""
    found = reports["mean_constant_layer_norm"].gradient
    assert found is not None

    assert (found.a, found.b) == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize(
    ("attribute", "argument"), [("length_floor_rms_norm", "obeyed"), ("fixed_floor_rms_norm", "none")]
)
def test_a_floor_under_the_length_of_a_set(attribute: str, argument: str) -> None:
    """What torch.nn.functional.normalize divides by is an RMS norm's root whose floor is its eps / sqrt(n)."""
    report = identify(f"{CODE}:{attribute}")

    assert (report.kind, dict(report.contract), report.eps_argument) == ("rms_norm", {"eps-place": "floor"}, argument)
    assert report.distance < 1e-12


def test_partial() -> None:
    """How many entries the statistic reads is seen by moving each."""
    report = identify("normcheck.implementations.partial_rms_norm:partial_rms_norm")

    assert (report.kind, dict(report.contract), dict(report.eps)) == ("partial_rms_norm", {}, both(1e-8))
    assert (report.sharing.words, report.centered, report.scaled_by) == WORDS["partial_rms_norm"]


def test_no_entry() -> None:
    """What is no entry of the catalog is reported as such, with what was measured."""
    report = identify(f"{CODE}:mean_deviation_norm")

    assert (report.kind, report.line) == ("", "")
    assert (report.sharing.words, report.centered, report.scaled_by) == (UNITS, True, "mean absolute deviation")
    assert report.nearest[0][0] == "layer_norm"
    assert report.row == identify("torch.nn.functional:layer_norm").row


def test_other_sets() -> None:
    """Sets of no entry are recognized: a Euclidean norm over channels, with eps as a floor."""
    report = identify("torch.nn.functional:normalize")

    assert report.kind == ""
    assert (report.centered, report.scaled_by, report.eps_place) == (False, "root of the sum of squares", "floor")
    assert report.sharing.words == "entries along channel, one for each case and position"
    assert (report.eps_argument, dict(report.eps)) == ("obeyed", both(1e-12))


def test_no_statistic() -> None:
    """A map of each entry alone shares nothing; its row is not guessed."""
    report = identify(f"{CODE}:dynamic_tanh")

    assert report.kind == ""
    assert report.sharing.words.startswith("none: ")
    assert set(report.row.values()) == {"undetermined"}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("torch.nn:Linear", "'out_features'"),
        ("torch:pi", "is float, not a function"),
        ("torch", "neither package.module:attribute nor"),
        ("nowhere_at_all:f", "there is no module 'nowhere_at_all'"),
        (f"{CODE}:annotated_layer_norm", "'a_2'"),
        (torch.randn_like, "another answer when asked the same again"),
        (lambda x: x * float("nan"), "NaN or infinity"),
        (3, "is int, not a function"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_wrong_input(target: Any, said: str) -> None:
    """What cannot be identified is reported in one sentence."""
    with pytest.raises(UsageError) as raised:
        identify(target)

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("attribute", ["KerasBatchNormalization", "T5LayerNorm", "mean_constant_layer_norm"])
def test_the_report_fits_a_terminal(attribute: str, reports: dict[str, IdentityReport]) -> None:
    """Eighty columns, but for a target that is longer; the record is strict JSON and contains what the lines show."""
    record = json.loads(json.dumps(reports[attribute].record(), allow_nan=False))
    record["line"] = record["line"].replace(CODE, "c.py")
    record["target"] = f"c.py:{attribute}"
    lines = "\n".join(card_lines(record, 80)).splitlines()

    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for key, value in reports[attribute].contract.items():
        assert f"--norm-contract {key}={value}" in text
    assert "Table 1: derived" in text


def test_the_card_of_no_entry() -> None:
    """What is no entry has a report too, without a command."""
    text = "\n".join(card_lines(identify(f"{CODE}:dynamic_tanh").record(), 80))

    assert "no entry of the catalog" in " ".join(text.split())
    assert "pytest" not in text


def test_what_divides_by_nothing() -> None:
    """A mean taken away and nothing else, over sets of no such kind: the row follows from it."""
    report = identify(f"{CODE}:only_centered")

    assert (report.kind, report.centered, report.scaled_by, report.eps_place) == ("", True, "nothing", "none")
    assert [column for column, cell in report.row.items() if cell == "invariant"] == ["weight_matrix_recentering"]
