"""Code written in tinygrad: its own layers pass, the wrong is found and named, scripts run. These tests need tinygrad,
not torch: pytest tests/tinygrad.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from asked import Asked
from tinygrad import nn

from normcheck.core.result import ERROR, FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.conventions import CONVENTIONS
from normcheck.frameworks.load import load
from normcheck.frameworks.tinygrad import arrays
from normcheck.frameworks.tinygrad.framework import FRAMEWORK
from normcheck.testing.framework import REQUIREMENTS, Requirement, Samples

CODE = Path(__file__).parent / "code"

RIGHT = (
    "layer_norm=tinygrad.nn:LayerNorm",
    "layer_norm=tinygrad.nn:LayerNorm2d",
    "rms_norm=tinygrad.nn:RMSNorm",
    "group_norm=tinygrad.nn:GroupNorm",
    "instance_norm=tinygrad.nn:InstanceNorm",
    "batch_norm=tinygrad.nn:BatchNorm",
    f"layer_norm={CODE}/right.py:instance",
    f"layer_norm={CODE}/right.py:layer_norm",
    f"batch_norm={CODE}/right.py:batch_norm",
    f"batch_norm={CODE}/right.py:assigning_batch_norm",
)

SOME = ("output-format", "sign", "constant-rows", "gradient-mode", "running-statistics", "evaluation")
"""Checks of few shapes: each shape is compiled. `test_every_check_of_layer_norm` asks all of them for one layer."""

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
    asked = Asked(word)
    assert asked.call().status == PASSED
    assert {o.check: o.finding for o in asked.ask(*SOME) if o.status not in (PASSED, SKIPPED)} == {}


def test_every_check_of_layer_norm() -> None:
    outcomes = Asked("layer_norm=tinygrad.nn:LayerNorm").all()
    assert [(o.check, o.finding) for o in outcomes if o.status not in (PASSED, SKIPPED)] == []
    assert sum(o.status == PASSED for o in outcomes) > 50


def test_a_gradient_reaches_an_input_of_bfloat16_that_is_reshaped() -> None:
    """Its bits are read as bytes and reshaped, and group norm reshapes it again."""
    with FRAMEWORK.settings():
        x = arrays.tensor(np.random.default_rng(0).standard_normal((2, 6, 4)), "bfloat16")
        dx = nn.GroupNorm(2, 6)(x).cast(x.dtype).gradient(x, gradient=x * x)[0]
        assert np.abs(arrays.array(dx)).max() > 0.1


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
def test_a_finding_has_a_script_in_tinygrad(function: str, check: str) -> None:
    """It prints a number beyond the allowed one, and imports neither normcheck nor torch."""
    finding = _found(function, check).finding
    assert finding is not None
    code = "\n".join(finding.script)
    assert "from tinygrad import Tensor, dtypes" in code
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


@pytest.mark.parametrize(("word", "said"), [
    ("layer_norm=tinygrad.nn.optim:Optimizer", "a class without a __call__"),
    (f"layer_norm={CODE}/right.py:jitted", "name the function in it"),
])  # fmt: skip
def test_what_is_no_target_is_said_in_one_sentence(word: str, said: str) -> None:
    outcome = Asked(word).call()
    assert outcome.status == ERROR
    assert said in outcome.reason
    assert "\n" not in outcome.reason


def test_the_device_is_chosen_before_the_first_layer_is_made() -> None:
    """Without a variable DEV, and with nothing of tinygrad imported by anybody else."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from asked import Asked\n"
        "found = Asked('layer_norm=tinygrad.nn:LayerNorm').call()\n"
        "assert found.status == 'passed', found.reason"
    )
    beside = str(Path(__file__).parent.parent / "jax")
    environment = {name: value for name, value in os.environ.items() if name != "DEV"}
    done = subprocess.run(
        [sys.executable, "-c", code, beside], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


VERDICT = """
import sys
import normcheck

verdict = normcheck.check("tinygrad.nn:RMSNorm", as_="rms_norm", effort="smoke")
assert verdict.ok, str(verdict)
print(sorted({"torch", "jax"} & set(sys.modules)))
"""


def test_a_right_layer_passes_without_an_import_of_torch() -> None:
    done = subprocess.run([sys.executable, "-c", VERDICT], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
