"""Code written in MLX: its own layers pass, the wrong is found and named, scripts run. These tests need MLX, not torch:
pytest tests/mlx.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest
from asked import Asked
from mlx import nn

from normcheck.core.result import ERROR, FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.conventions import CONVENTIONS
from normcheck.frameworks.load import load
from normcheck.frameworks.mlx.framework import FRAMEWORK
from normcheck.testing.framework import REQUIREMENTS, Requirement, Samples

CODE = Path(__file__).parent / "code"

RIGHT = (
    "layer_norm=mlx.nn:LayerNorm",
    "rms_norm=mlx.nn:RMSNorm",
    "group_norm=mlx.nn:GroupNorm(pytorch_compatible=True)",
    "layer_norm=mlx.core.fast:layer_norm",
    "rms_norm=mlx.core.fast:rms_norm",
    f"layer_norm={CODE}/right.py:instance",
)

RIGHT_IN_SOME = (
    "batch_norm=mlx.nn:BatchNorm",
    "instance_norm=mlx.nn:InstanceNorm",
    f"layer_norm={CODE}/right.py:layer_norm",
    f"rms_norm={CODE}/right.py:rms_norm",
    f"batch_norm={CODE}/right.py:batch_norm",
)

SOME = ("finite", "output-format", "sign", "eps-co-scaling", "constant-rows", "gradient-mode", "parameter-grid",
        "running-statistics")  # fmt: skip

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
    ("NoBias", "value", "bias-ignored"),
)
"""Faults with a check that finds each, and the fault that it is named as, as far as it is named."""


@pytest.mark.parametrize("word", RIGHT)
def test_right(word: str) -> None:
    """Every check of the quick effort holds."""
    asked = Asked(word)
    assert asked.call().status == PASSED
    outcomes = asked.all()
    assert [(o.check, o.finding) for o in outcomes if o.status not in (PASSED, SKIPPED)] == []
    assert sum(o.status == PASSED for o in outcomes) > 30


@pytest.mark.parametrize("word", RIGHT_IN_SOME)
def test_right_in_some_checks(word: str) -> None:
    asked = Asked(word)
    assert asked.call().status == PASSED
    assert {o.check: o.finding for o in asked.ask(*SOME) if o.status not in (PASSED, SKIPPED)} == {}


def test_group_norm_by_default_groups_units_that_are_apart() -> None:
    """mlx.nn has its own order of the units in groups; only with its option it is the group norm of the paper."""
    (outcome,) = Asked("group_norm=mlx.nn:GroupNorm").ask("value")
    assert outcome.status == FAILED


@functools.cache
def _found(function: str, check: str) -> Outcome:
    asked = Asked(f"layer_norm={CODE}/wrong.py:{function}")
    return asked.conventions() if check == CONVENTIONS else asked.ask(check)[0]


@pytest.mark.parametrize(("function", "check", "fault"), WRONG)
def test_wrong(function: str, check: str, fault: str) -> None:
    outcome = _found(function, check)
    assert outcome.status == FAILED
    assert not fault or any(fault in name for name in outcome.diagnosis), outcome.diagnosis


@pytest.mark.parametrize(("function", "check"), [
    ("mean_kept_in_numerator", "value"), ("affine_ignored", "value"), ("NoBias", "value"),
    ("variance_constant", CONVENTIONS),
])  # fmt: skip
def test_a_finding_has_a_script_in_mlx(function: str, check: str) -> None:
    """It prints a number beyond the allowed one, and imports neither normcheck nor torch."""
    finding = _found(function, check).finding
    assert finding is not None
    code = "\n".join(finding.script)
    assert "import mlx.core as mx" in code
    more = "\nimport sys\nassert not {'torch', 'normcheck'} & set(sys.modules), sys.modules"
    done = subprocess.run([sys.executable, "-c", code + more], capture_output=True, text=True, check=True)
    assert not float(done.stdout) <= float(code.rpartition(" ")[2]), code


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
    stateful_layer=nn.BatchNorm,
)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_kit(requirement: Requirement) -> None:
    requirement.check(FRAMEWORK, SAMPLES)


def test_what_is_no_target_is_said_in_one_sentence() -> None:
    outcome = Asked("layer_norm=mlx.optimizers:Adam").call()
    assert outcome.status == ERROR
    assert "no mlx.nn.Module" in outcome.reason
    assert "\n" not in outcome.reason


VERDICT = """
import sys
import normcheck

verdict = normcheck.check("mlx.core.fast:rms_norm", as_="rms_norm", effort="quick")
assert verdict.ok, str(verdict)
print(sorted({"torch", "jax"} & set(sys.modules)))
"""


def test_a_right_function_passes_without_an_import_of_torch() -> None:
    done = subprocess.run([sys.executable, "-c", VERDICT], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
