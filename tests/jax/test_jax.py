"""Code written in JAX: the right passes, the wrong is found and named, refusals are one sentence, scripts run."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
import pytest
from asked import CODE, Asked
from scripts import numbers_of, run

from normcheck.core.result import ERROR, FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.conventions import CONVENTIONS
from normcheck.frameworks.jax.call import JaxCall
from normcheck.frameworks.jax.framework import FRAMEWORK
from normcheck.frameworks.load import load
from normcheck.frameworks.protocol import FunctionStyle
from normcheck.frameworks.roles import bind, from_signature
from normcheck.normalizers.case import Case
from normcheck.normalizers.catalog import layer_norm
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.recipes import Draw, values
from normcheck.normalizers.subject import Answer

RIGHT = (
    (f"layer_norm={CODE}/right.py:with_its_own_gradient",),
    (f"batch_norm={CODE}/right.py:batch_norm",),
    (f"layer_norm={CODE}/right.py:instance",),
    ("rms_norm=flax.nnx:RMSNorm",),
)
"""Targets with the conventions that they follow where these are not the default."""

SOME = ("finite", "output-format", "sign", "eps-co-scaling", "constant-rows", "gradient-mode", "parameter-grid")

RIGHT_IN_SOME = (
    (f"layer_norm={CODE}/right.py:stable", "accuracy=half"),
    (f"layer_norm={CODE}/right.py:layer_norm",),
    (f"layer_norm={CODE}/right.py:jitted",),
    (f"rms_norm={CODE}/right.py:rms_norm",),
    (f"layer_norm={CODE}/right.py:LayerNorm",),
    (f"group_norm={CODE}/right.py:GroupNorm",),
    (f"batch_norm={CODE}/right.py:BatchNorm", "momentum=old", "running-variance=biased"),
)

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
    ("forward_differs_with_gradient", "value", ""),
    ("NoBias", "value", "bias-ignored"),
)
"""Faults with a check that finds each, and the fault that it is named as, as far as it is named."""


def _named(one: tuple[str, ...]) -> str:
    return one[0].rpartition(":")[2]


@pytest.mark.parametrize("one", RIGHT, ids=_named)
def test_right(one: tuple[str, ...]) -> None:
    """Every check of the quick effort holds."""
    asked = Asked(*one)
    assert asked.call().status == PASSED
    outcomes = asked.all()

    assert [(o.check, o.finding) for o in outcomes if o.status not in (PASSED, SKIPPED)] == []
    assert sum(o.status == PASSED for o in outcomes) > 30


@pytest.mark.parametrize("one", RIGHT_IN_SOME, ids=_named)
def test_right_in_some_checks(one: tuple[str, ...]) -> None:
    asked = Asked(*one)
    assert asked.call().status == PASSED
    assert {o.check: o.finding for o in asked.ask(*SOME) if o.status not in (PASSED, SKIPPED)} == {}


@functools.cache
def _found(function: str, check: str) -> Outcome:
    asked = Asked(f"layer_norm={CODE}/wrong.py:{function}")
    return asked.conventions() if check == CONVENTIONS else asked.ask(check)[0]


@pytest.mark.parametrize(("function", "check", "fault"), WRONG)
def test_wrong(function: str, check: str, fault: str) -> None:
    outcome = _found(function, check)
    assert outcome.status == FAILED
    assert not fault or any(fault in name for name in outcome.diagnosis), outcome.diagnosis


FEW_SHAPES = 26
"""Shapes and formats of one check with a finding. With sizes of their own, diagnosis and remedy would make it 34."""


def test_flax_layer_norm_by_default_computes_the_variance_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """use_fast_variance=True is what flax has chosen, and what the finding says, with few shapes to compile."""
    compiled = set()
    call = JaxCall.__call__

    def recording(self: JaxCall, case: Case, gradient: bool) -> Answer:
        compiled.add((case.x.shape, case.format.name, case.weight is None, case.bias is None))
        return call(self, case, gradient)

    monkeypatch.setattr(JaxCall, "__call__", recording)
    (outcome,) = Asked("layer_norm=flax.nnx:LayerNorm").ask("moments")
    assert outcome.status == FAILED
    assert any("one-pass" in name for name in outcome.diagnosis)
    assert outcome.finding is not None
    assert outcome.finding.remedy == "accuracy=one-pass"
    assert len(compiled) <= FEW_SHAPES


def test_standardize_by_default_computes_the_variance_in_one_pass() -> None:
    (outcome,) = Asked("layer_norm=jax.nn:standardize").ask("value")
    assert outcome.status == FAILED
    assert any("one-pass" in name for name in outcome.diagnosis)


REFUSED = (
    ("layer_norm=flax.linen:LayerNorm", "flax.nnx"),
    (
        f"layer_norm={CODE}/refused.py:other_shape",
        "returned an array of JAX of shape (6,) for an input of shape (6, 8)",
    ),
    (f"layer_norm={CODE}/refused.py:raises", "raised ValueError: no input is good enough"),
    (f"layer_norm={CODE}/refused.py:number", "not an array of JAX"),
)


@pytest.mark.parametrize(("claim", "words"), REFUSED)
def test_what_cannot_be_called_is_said_in_one_sentence(claim: str, words: str) -> None:
    outcome = Asked(claim).call()
    assert outcome.status == ERROR
    assert words in outcome.reason
    assert "\n" not in outcome.reason


def test_what_is_not_offered_is_said_with_its_reason() -> None:
    absent = Asked(f"batch_norm={CODE}/refused.py:no_state").call().absent
    assert absent["running statistics"] == "returns no running statistics beside its output"
    assert "XLA makes them zero" in absent["subnormal numbers"]


@pytest.mark.parametrize("function", ["branches", "eps_as_a_number"])
def test_code_that_needs_values_gets_them(function: str) -> None:
    """Plain numbers instead of arguments of a program, and where that is not enough no program at all."""
    target = load(f"{CODE}/right.py:{function}")
    binding = bind(from_signature(target) or [], layer_norm.arguments, layer_norm, function)
    call = FRAMEWORK.function(target, binding, layer_norm, function, FunctionStyle())
    case = values(layer_norm, Draw(format="float32"))
    assert np.allclose(call(case, False).y, evaluate(layer_norm, case).y, atol=1e-5)


@functools.cache
def _replayed() -> Outcome:
    """The case of a convention that is not followed, run again as it was claimed."""
    first = _found("variance_constant", CONVENTIONS).finding
    assert first is not None
    case = re.findall(r"--norm-replay (.*)", first.replay)[0].strip("'")
    return Asked(f"layer_norm={CODE}/wrong.py:variance_constant", replay=case).ask("input-gradient")[0]


SCRIPTS = (("mean_kept_in_numerator", "value"), ("one_pass_variance", "value"), ("NoBias", "value"))
"""Findings of functions and a layer; one of a gradient is `_replayed`."""


def test_a_finding_has_a_script_in_jax(tmp_path: Path) -> None:
    """It prints a number beyond the allowed one, and imports neither normcheck nor torch."""
    findings = [one.finding for one in (*(_found(*one) for one in SCRIPTS), _replayed())]
    scripts = ["\n".join(one.script) for one in findings if one is not None]
    assert len(scripts) == len(findings)
    for code, number in zip(scripts, numbers_of(scripts, tmp_path), strict=True):
        assert not number <= float(code.rpartition(" ")[2]), code


def test_a_replay_is_the_same_case() -> None:
    first, again = _found("variance_constant", CONVENTIONS).finding, _replayed()
    assert again.status == FAILED
    assert first is not None
    assert again.finding is not None
    assert again.finding.case == first.case


VERDICT = """
import sys
import normcheck

contract = {"formats": "float64,float32", "accuracy": "one-pass"}
verdict = normcheck.check("jax.nn:standardize", as_="layer_norm", contract=contract, effort="quick")
assert verdict.ok, str(verdict)
print(verdict.checks["passed"])
print(sorted({"torch", "jax", "flax"} & set(sys.modules)))
"""


def test_a_right_function_passes_without_an_import_of_torch() -> None:
    passed, imported = run(VERDICT)
    assert int(passed) > 30
    assert imported == "['jax']"
