"""Models of ONNX: the right pass, the wrong are found and named, scripts run. These tests need onnx and onnxruntime,
not torch: pytest tests/onnx.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from asked import Asked
from onnx.reference import ReferenceEvaluator

from normcheck.core.errors import UsageError
from normcheck.core.result import ERROR, FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.conventions import CONVENTIONS
from normcheck.frameworks import registry
from normcheck.frameworks.load import load
from normcheck.frameworks.onnx.framework import FRAMEWORK
from normcheck.testing.framework import REQUIREMENTS, Requirement, Samples

CODE = Path(__file__).parent / "code"

RIGHT = (
    (f"layer_norm={CODE}/right.py:layer_norm",),
    (f"layer_norm={CODE}/right.py:exported",),
    (f"layer_norm={CODE}/right.py:evaluated_layer_norm",),
    (f"rms_norm={CODE}/right.py:rms_norm",),
    (f"rms_norm={CODE}/right.py:exported_rms",),
    (f"group_norm={CODE}/right.py:composed_group_norm", "formats=float64,float32"),
    (f"group_norm={CODE}/right.py:composed_group_norm(num_groups=3)", "formats=float64,float32"),
    (f"instance_norm={CODE}/right.py:instance_norm",),
    (f"batch_norm={CODE}/right.py:batch_norm", "momentum=old", "running-variance=biased", "formats=float32,float16"),
)
"""Targets with the conventions that they follow where these are not the default. The momentum of a model has float32,
so that in float64 a new state differs from that of the momentum that was passed; an eps of 1e-5 is 0 in float16."""

WRONG = (
    ("eps_outside_root", CONVENTIONS, "eps-outside-root"),
    ("variance_unbiased", CONVENTIONS, "variance-unbiased"),
    ("mean_kept_in_numerator", "value", "mean-kept-in-numerator"),
    ("one_pass_variance", "value", ""),
    ("weight_ignored", "value", "weight-ignored"),
    ("bias_ignored", "value", "bias-ignored"),
    ("gain_one_plus_weight", CONVENTIONS, "weight-offset-one"),
    ("narrow_inside", "value", ""),
    ("output_clipped", "value", ""),
    ("eps_ignored", "eps-is-read", "eps-hard-coded"),
    ("output_float32", "output-format", "wrong-format-output"),
    ("sign_lost", "value", ""),
    ("whole_tensor", "value", ""),
)
"""Faults with a check that finds each, and the fault that it is named as, as far as it is named."""


def _named(one: tuple[str, ...]) -> str:
    return one[0].rpartition(":")[2]


@pytest.mark.parametrize("one", RIGHT, ids=_named)
def test_right(one: tuple[str, ...]) -> None:
    """Every check of the quick effort holds, and no gradient is asked for."""
    asked = Asked(*one)
    bound = asked.call()
    assert bound.status == PASSED
    assert bound.absent["gradient"] == "an ONNX model has a forward pass only"
    outcomes = asked.all()
    assert [(o.check, o.finding) for o in outcomes if o.status not in (PASSED, SKIPPED)] == []
    assert sum(o.status == PASSED for o in outcomes) > 25


@functools.cache
def _found(function: str, check: str) -> Outcome:
    asked = Asked(f"layer_norm={CODE}/wrong.py:{function}")
    return asked.conventions() if check == CONVENTIONS else asked.ask(check)[0]


@pytest.mark.parametrize(("function", "check", "fault"), WRONG)
def test_wrong(function: str, check: str, fault: str) -> None:
    outcome = _found(function, check)
    assert outcome.status == FAILED
    assert not fault or any(fault in name for name in outcome.diagnosis), outcome.diagnosis


@pytest.mark.parametrize("function", ["group_norm", "evaluated_group_norm"])
def test_group_norm_of_the_standard_computes_the_variance_in_one_pass(function: str) -> None:
    """So does the function body that the standard gives, which runtime and evaluator follow."""
    (outcome,) = Asked(f"group_norm={CODE}/right.py:{function}").ask("moments")
    assert outcome.status == FAILED
    assert any("one-pass" in name for name in outcome.diagnosis)


SCRIPTS = ("mean_kept_in_numerator", "weight_ignored", "bias_ignored", "sign_lost")


@pytest.mark.parametrize("function", SCRIPTS)
def test_a_finding_has_a_script_in_onnx(function: str, tmp_path: Path) -> None:
    """It prints a number beyond the allowed one, and imports neither normcheck nor torch."""
    finding = _found(function, "value").finding
    assert finding is not None
    code = "\n".join(finding.script)
    assert "onnxruntime" in code
    more = "\nassert not {'torch', 'normcheck'} & set(sys.modules), sys.modules"
    done = subprocess.run([sys.executable, "-c", code + more], capture_output=True, text=True, check=True)
    assert not float(done.stdout) <= float(code.rpartition(" ")[2]), code


def test_candidates() -> None:
    model = load(f"{CODE}/right.py:exported")
    for one in (model, ReferenceEvaluator(model), load(f"{CODE}/right.py:group_norm")):
        assert registry.candidates(one)[0] == "onnx"
        assert not FRAMEWORK.accepts(one)


def _shapeless(elem_type=1, weight=True, bias=True, epsilon=1e-5):
    made = onnx.ModelProto()
    made.CopyFrom(load(f"{CODE}/wrong.py:composed")(elem_type, epsilon, y="wide = Add(scaled, bias); y = Shape(wide)"))
    made.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    return made


def _raises(elem_type=1, weight=True, bias=True, epsilon=0.125):
    made = load(f"{CODE}/right.py:layer_norm")(elem_type, weight, bias, epsilon)
    if epsilon == FIRST:
        return made
    raise ValueError("no")


FIRST = 0.125
"""The eps with which the model of a function is made first, to read its inputs."""


SAMPLES = Samples(
    layer_norm=load(f"{CODE}/right.py:composed_layer_norm"),
    faulty={name: load(f"{CODE}/wrong.py:{name}") for name, *_ in WRONG},
    raises=_raises,
    shapeless=_shapeless,
    batch_norm=load(f"{CODE}/right.py:composed_batch_norm"),
)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_kit(requirement: Requirement) -> None:
    requirement.check(FRAMEWORK, SAMPLES)


def _makes_nothing(x, weight, bias, eps=1e-5):
    return onnx.ModelProto if x is None else 3


def test_a_function_that_makes_no_model_is_refused_in_one_sentence() -> None:
    with pytest.raises(UsageError, match="making its model raised TypeError"):
        FRAMEWORK.parameters(_makes_nothing, None)  # type: ignore[arg-type]
    outcome = Asked(f"layer_norm={CODE}/graphs.py:model").call()
    assert outcome.status == ERROR
    assert "\n" not in outcome.reason


VERDICT = f"""
import sys
import normcheck

verdict = normcheck.check({str(CODE / "right.py:layer_norm")!r}, as_="layer_norm", effort="quick")
assert verdict.ok, str(verdict)
print(sorted({{"torch", "jax"}} & set(sys.modules)), verdict.checks["passed"])
"""


def test_a_right_model_passes_without_an_import_of_torch() -> None:
    done = subprocess.run([sys.executable, "-c", VERDICT], capture_output=True, text=True, check=True)
    imported, passed = done.stdout.split(" ")
    assert imported == "[]"
    assert int(passed) > 25
