"""Code written in TensorFlow: the right passes, the wrong is found and named, scripts run. These tests need TensorFlow,
not torch: pytest tests/tensorflow.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest
from asked import Asked

import normcheck
from normcheck.core.result import ERROR, FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claim, conventions
from normcheck.engine.conventions import CONVENTIONS
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME
from normcheck.frameworks.load import load
from normcheck.frameworks.tensorflow.framework import FRAMEWORK
from normcheck.testing.framework import REQUIREMENTS, Requirement, Samples

CODE = Path(__file__).parent / "code"

RIGHT = (
    f"layer_norm={CODE}/right.py:with_its_own_gradient",
    f"rms_norm={CODE}/right.py:rms_norm",
    f"group_norm={CODE}/right.py:group_norm",
    f"instance_norm={CODE}/right.py:instance_norm",
    f"batch_norm={CODE}/right.py:batch_norm",
    f"batch_norm={CODE}/right.py:batch_norm_in_place",
    f"layer_norm={CODE}/right.py:LayerNorm",
    f"rms_norm={CODE}/right.py:LazyRMSNorm",
    f"batch_norm={CODE}/right.py:BatchNorm",
    f"group_norm={CODE}/right.py:GroupNorm",
    f"layer_norm={CODE}/right.py:instance",
)


@pytest.mark.parametrize("word", RIGHT, ids=lambda word: word.rpartition(":")[2])
def test_right(word: str) -> None:
    """Every check of the quick effort holds."""
    asked = Asked(word)
    assert asked.call().status == PASSED
    outcomes = asked.all()
    assert [(o.check, o.finding) for o in outcomes if o.status not in (PASSED, SKIPPED)] == []
    assert sum(o.status == PASSED for o in outcomes) > 30


SOME = ("finite", "output-format", "sign", "eps-co-scaling", "constant-rows", "gradient-mode", "parameter-grid",
        "running-statistics")  # fmt: skip

RIGHT_IN_SOME = (
    (f"layer_norm={CODE}/right.py:layer_norm",),
    (f"layer_norm={CODE}/right.py:compiled",),
    (f"layer_norm={CODE}/right.py:by_moments",),
    (f"batch_norm={CODE}/right.py:batch_norm_channels_last", "form=channels-last"),
)


@pytest.mark.parametrize("one", RIGHT_IN_SOME, ids=lambda one: one[0].rpartition(":")[2])
def test_right_in_some_checks(one: tuple[str, ...]) -> None:
    asked = Asked(*one)
    assert asked.call().status == PASSED
    assert {o.check: o.finding for o in asked.ask(*SOME) if o.status not in (PASSED, SKIPPED)} == {}


WRONG = (
    ("eps_outside_root", CONVENTIONS, "eps-outside-root"),
    ("variance_unbiased", CONVENTIONS, "variance-unbiased"),
    ("mean_kept_in_numerator", "value", "mean-kept-in-numerator"),
    ("one_pass_variance", "value", "one-pass-variance"),
    ("affine_ignored", "value", "affine-ignored"),
    ("gain_one_plus_weight", CONVENTIONS, "weight-offset-one"),
    ("mean_constant", CONVENTIONS, "mean-term-missing"),
    ("variance_constant", CONVENTIONS, "variance-term-missing"),
    ("narrow_inside", "value", ""),
    ("tail_dropped", "value", ""),
    ("output_clipped", "value", ""),
    ("output_float32", "output-format", "wrong-format-output"),
    ("eps_ignored", "eps-is-read", "eps-ignored"),
    ("weight_gradient_halved", "parameter-gradients", ""),
    ("NoBias", "value", "bias-ignored"),
)
"""Faults with a check that finds each, and the fault that it is named as, as far as it is named."""


@functools.cache
def _found(function: str, check: str) -> Outcome:
    asked = Asked(f"layer_norm={CODE}/wrong.py:{function}")
    return asked.conventions() if check == CONVENTIONS else asked.ask(check)[0]


@pytest.mark.parametrize(("function", "check", "fault"), WRONG)
def test_wrong(function: str, check: str, fault: str) -> None:
    outcome = _found(function, check)
    assert outcome.status == FAILED
    assert not fault or any(fault in name for name in outcome.diagnosis), outcome.diagnosis


def test_statistics_that_a_module_never_updates_are_found() -> None:
    (outcome,) = Asked(f"batch_norm={CODE}/wrong.py:StaleStatistics").ask("running-statistics")
    assert outcome.status == FAILED
    assert outcome.diagnosis


@pytest.mark.parametrize(("function", "check"), [
    ("mean_kept_in_numerator", "value"), ("affine_ignored", "value"), ("NoBias", "value"),
    ("variance_constant", CONVENTIONS), ("weight_gradient_halved", "parameter-gradients"),
])  # fmt: skip
def test_a_finding_has_a_script_in_tensorflow(function: str, check: str) -> None:
    """It prints a number beyond the allowed one, and imports neither normcheck nor torch."""
    finding = _found(function, check).finding
    assert finding is not None
    code = "\n".join(finding.script)
    assert "import tensorflow as tf" in code
    more = "\nimport sys\nassert not {'torch', 'normcheck'} & set(sys.modules), sys.modules"
    done = subprocess.run([sys.executable, "-c", code + more], capture_output=True, text=True, check=True)
    assert not float(done.stdout) <= float(code.rpartition(" ")[2]), code


@pytest.mark.parametrize(("function", "warned"), [("by_moments", True), ("layer_norm", False)])
def test_the_second_derivative_of_moments_is_warned_of(function: str, warned: bool) -> None:
    """tf.nn.moments keeps the mean as a constant in the variance: its second derivative lacks the mean's part."""
    asker = Asker(Settings("default"))
    claimed = claim(f"layer_norm={CODE}/right.py:{function}", conventions(()))
    outcome = asker.run_check(claimed, CHECKS_BY_NAME["second-derivative"])
    assert outcome.status == PASSED
    assert ("second-derivative" in {one.name for one in outcome.warnings}) == warned


def _shapeless(x, weight, bias, eps=1e-5):
    return x[:1]


def _raises(x, weight, bias, eps=1e-5):
    raise ValueError("no")


SAMPLES = Samples(
    layer_norm=load(f"{CODE}/right.py:layer_norm"),
    faulty={name: load(f"{CODE}/wrong.py:{name}") for name, *_ in WRONG if name != "NoBias"},
    raises=_raises,
    shapeless=_shapeless,
    batch_norm=load(f"{CODE}/right.py:batch_norm"),
    layer=load(f"{CODE}/right.py:LayerNorm"),
    stateful_layer=load(f"{CODE}/right.py:BatchNorm"),
)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_kit(requirement: Requirement) -> None:
    requirement.check(FRAMEWORK, SAMPLES)


@pytest.mark.parametrize(("target", "part"), [
    ("tensorflow.data:Dataset", "a class, but no tf.Module"),
    ("tensorflow.dtypes:float32", "not a function or a tf.Module"),
    ("tensorflow.nn:batch_normalization", "no value for its parameter 'mean'"),
])  # fmt: skip
def test_what_is_no_target_is_said_in_one_sentence(target: str, part: str) -> None:
    outcome = Asked(f"layer_norm={target}").call()
    assert outcome.status == ERROR
    assert part in outcome.reason
    assert "\n" not in outcome.reason


VERDICT = """
import sys
import normcheck

verdict = normcheck.check(sys.argv[1], as_="rms_norm", effort="quick")
assert verdict.ok, str(verdict)
print("torch" in sys.modules)
"""


def test_a_right_function_passes_without_an_import_of_torch() -> None:
    command = [sys.executable, "-c", VERDICT, f"{CODE}/right.py:rms_norm"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(("name", "ok"), [("masked_instance_norm", True), ("mask_of_first_case", False)])
def test_a_mask(name: str, *, ok: bool) -> None:
    """Entries are taken from anywhere: tensors of TensorFlow are not indexed by tensors."""
    contract = {"form": "mask", "formats": "float64,float32"}
    verdict = normcheck.check(f"{CODE}/right.py:{name}", as_="instance_norm", effort="smoke", contract=contract)
    assert verdict.ok == ok, str(verdict)
    assert not verdict.errors
