"""Layers of Keras 3: its own pass, the wrong are found and named, scripts run. These tests need Keras and its backend,
not torch: KERAS_BACKEND=tensorflow pytest tests/keras, and the same with jax.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from asked import Asked

from normcheck.core.result import ERROR, FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.conventions import CONVENTIONS
from normcheck.frameworks.keras.framework import FRAMEWORK
from normcheck.frameworks.load import load
from normcheck.testing.framework import REQUIREMENTS, Requirement, Samples

CODE = Path(__file__).parent / "code"

MOMENTS = ("momentum=old", "running-variance=biased")
"""How Keras keeps running statistics: momentum is the weight of the old ones, and the variance divides by n."""

RIGHT = (
    ("layer_norm=keras.layers:LayerNormalization",),
    ("rms_norm=keras.layers:RMSNormalization",),
    ("batch_norm=keras.layers:BatchNormalization", *MOMENTS),
    (f"layer_norm={CODE}/right.py:instance",),
)
"""Targets with the conventions that they follow where these are not the default."""

SOME = ("value", "finite", "output-format", "sign", "eps-co-scaling", "constant-rows", "gradient-mode",
        "parameter-grid", "parameter-gradients", "running-statistics", "evaluation-gradient")  # fmt: skip

RIGHT_IN_SOME = (
    ("group_norm=keras.layers:GroupNormalization",),
    ("instance_norm=keras.layers:GroupNormalization(groups=-1)",),
    ("layer_norm=keras.ops:layer_normalization",),
    ("rms_norm=keras.ops:rms_normalization",),
    (f"layer_norm={CODE}/right.py:LayerNorm",),
    (f"rms_norm={CODE}/right.py:RMSNorm",),
    (f"layer_norm={CODE}/right.py:Around",),
    (f"layer_norm={CODE}/right.py:unbuilt",),
    (f"layer_norm={CODE}/right.py:layer_norm",),
    (f"batch_norm={CODE}/right.py:BatchNorm",),
    (f"batch_norm={CODE}/right.py:first_axis", *MOMENTS),
)

WRONG = (
    ("EpsOutsideRoot", CONVENTIONS, "eps-outside-root"),
    ("VarianceUnbiased", CONVENTIONS, "variance-unbiased"),
    ("MeanKeptInNumerator", "value", "mean-kept-in-numerator"),
    ("OnePassVariance", "value", "one-pass-variance"),
    ("AffineIgnored", "value", "affine-ignored"),
    ("NoBias", "value", "bias-ignored"),
    ("GainOnePlusWeight", CONVENTIONS, "weight-offset-one"),
    ("MeanConstant", CONVENTIONS, "mean-term-missing"),
    ("VarianceConstant", CONVENTIONS, "variance-term-missing"),
    ("NarrowInside", "value", ""),
    ("TailDropped", "value", ""),
    ("OutputClipped", "value", ""),
    ("OutputFloat32", "output-format", "wrong-format-output"),
    ("EpsIgnored", "eps-is-read", "eps-"),  # without float64, an eps of zero is like a small one that is hard-coded
)
"""Faults with a check that finds each, and the fault that it is named as, as far as it is named."""


def _named(one: tuple[str, ...]) -> str:
    return one[0].rpartition(":")[2]


@pytest.mark.parametrize("one", RIGHT, ids=_named)
def test_right(one: tuple[str, ...]) -> None:
    """Every check of the quick effort holds."""
    asked = Asked(*one)
    assert asked.call().status == PASSED
    assert asked.conventions().status == PASSED
    outcomes = asked.all()
    assert [(o.check, o.finding) for o in outcomes if o.status not in (PASSED, SKIPPED)] == []
    assert sum(o.status == PASSED for o in outcomes) > 30


@pytest.mark.parametrize("one", RIGHT_IN_SOME, ids=_named)
def test_right_in_some_checks(one: tuple[str, ...]) -> None:
    asked = Asked(*one)
    assert asked.call().status == PASSED
    assert {o.check: o.finding for o in asked.ask(*SOME) if o.status not in (PASSED, SKIPPED)} == {}


def test_how_keras_keeps_statistics_is_said_where_it_is_not_declared() -> None:
    """A convention that differs from torch's is a finding about the convention, and the checks follow it."""
    asked = Asked("batch_norm=keras.layers:BatchNormalization")
    found = asked.asker.run_conventions(asked.claim)
    assert {one.finding.remedy for one in found if one.finding is not None} == set(MOMENTS)
    (outcome,) = asked.ask("running-statistics")
    assert outcome.status == PASSED


@functools.cache
def _found(name: str, check: str) -> Outcome:
    asked = Asked(f"layer_norm={CODE}/wrong.py:{name}")
    return asked.conventions() if check == CONVENTIONS else asked.ask(check)[0]


@pytest.mark.parametrize(("name", "check", "fault"), WRONG)
def test_wrong(name: str, check: str, fault: str) -> None:
    outcome = _found(name, check)
    assert outcome.status == FAILED
    assert not fault or any(fault in one for one in outcome.diagnosis), outcome.diagnosis


@pytest.mark.parametrize(("name", "fault"), [
    ("StaleStatistics", "running-statistics-not-updated"), ("SmallStatistics", "running-deviation-stored"),
])  # fmt: skip
def test_wrong_statistics_are_found(name: str, fault: str) -> None:
    (outcome,) = Asked(f"batch_norm={CODE}/wrong.py:{name}", *MOMENTS).ask("running-statistics")
    assert outcome.status == FAILED
    assert fault in outcome.diagnosis


@pytest.mark.parametrize(("name", "check"), [
    ("MeanKeptInNumerator", "value"), ("AffineIgnored", "value"), ("NoBias", "value"),
    ("VarianceConstant", CONVENTIONS),
])  # fmt: skip
def test_a_finding_has_a_script_in_keras(name: str, check: str) -> None:
    """It prints a number beyond the allowed one, and imports neither normcheck nor torch."""
    finding = _found(name, check).finding
    assert finding is not None
    code = "\n".join(finding.script)
    assert "import keras" in code
    more = "\nimport sys\nassert not {'torch', 'normcheck'} & set(sys.modules), sys.modules"
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    command = [sys.executable, "-c", code + more]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert not float(done.stdout) <= float(code.rpartition(" ")[2]), code


def test_a_layer_whose_configuration_loses_a_number_is_not_judged_by_a_copy() -> None:
    outcome = Asked(f"layer_norm={CODE}/wrong.py:instance").call()
    assert outcome.status == ERROR
    assert "get_config() that loses epsilon" in outcome.reason
    assert "\n" not in outcome.reason


def test_what_is_no_target_is_said_in_one_sentence() -> None:
    outcome = Asked("layer_norm=keras.optimizers:Adam").call()
    assert outcome.status == ERROR
    assert "no keras.layers.Layer" in outcome.reason
    assert "\n" not in outcome.reason


def test_a_backend_that_is_not_called_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "openvino")
    outcome = Asked("layer_norm=keras.layers:LayerNormalization").call()
    assert outcome.status == ERROR
    assert "code of Keras on openvino, which is not called" in outcome.reason
    assert "\n" not in outcome.reason


def _shapeless(x, weight, bias, eps=1e-5):
    return x[:1]


def _raises(x, weight, bias, eps=1e-5):
    keras.ops.shape(x)
    raise ValueError("no")


SAMPLES = Samples(
    layer_norm=load(f"{CODE}/right.py:layer_norm"),
    faulty={name: load(f"{CODE}/wrong.py:{name}") for name, *_ in WRONG},
    raises=_raises,
    shapeless=_shapeless,
    layer=keras.layers.LayerNormalization,
    stateful_layer=load(f"{CODE}/right.py:BatchNorm"),
)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_kit(requirement: Requirement) -> None:
    requirement.check(FRAMEWORK, SAMPLES)


VERDICT = """
import sys
import normcheck

verdict = normcheck.check("keras.layers:RMSNormalization", as_="rms_norm", effort="quick")
assert verdict.ok, str(verdict)
print("torch" in sys.modules)
"""


def test_a_right_layer_passes_without_an_import_of_torch() -> None:
    done = subprocess.run([sys.executable, "-c", VERDICT], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
