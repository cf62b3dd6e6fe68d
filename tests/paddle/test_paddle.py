"""Code written in PaddlePaddle: right layers pass, the wrong is found and named, scripts run. These tests need paddle,
not torch: pytest tests/paddle.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from asked import Asked

from normcheck.core.result import ERROR, FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.conventions import CONVENTIONS
from normcheck.frameworks.load import load
from normcheck.frameworks.paddle.framework import FRAMEWORK
from normcheck.testing.framework import REQUIREMENTS, Requirement, Samples

CODE = Path(__file__).parent / "code"

RIGHT = (
    "layer_norm=paddle.nn:LayerNorm",
    "layer_norm=paddle.nn.functional:layer_norm",
    "instance_norm=paddle.nn:InstanceNorm1D",
    f"layer_norm={CODE}/right.py:instance",
    f"layer_norm={CODE}/right.py:layer_norm",
    f"rms_norm={CODE}/right.py:rms_norm",
    f"batch_norm={CODE}/right.py:batch_norm",
    f"batch_norm={CODE}/right.py:BatchNorm",
)

SOME = ("finite", "output-format", "sign", "eps-co-scaling", "constant-rows", "permutation", "running-statistics",
        "evaluation")  # fmt: skip

RIGHT_IN_SOME = (
    "batch_norm=paddle.nn:BatchNorm1D",
    "batch_norm=paddle.nn:BatchNorm2D",
    "batch_norm=paddle.nn.functional:batch_norm",
)

DEFECTS = (
    ("group_norm=paddle.nn:GroupNorm", "value", "offset"),
    ("group_norm=paddle.nn.functional:group_norm", "gradient-mode", ""),
    ("batch_norm=paddle.nn:BatchNorm1D", "value", "n=1"),
    ("batch_norm=paddle.nn.functional:batch_norm", "parameter-grid", ""),
    ("instance_norm=paddle.nn.functional:instance_norm", "parameter-grid", ""),
)
"""What the library itself has wrong, each compared with numpy in `test_the_defects_are_real`; a part of the replay."""

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
def test_right_in_some_checks_in_float32(word: str) -> None:
    """Running statistics are right by the conventions of the library, which are measured; its momentum has float32."""
    asked = Asked(word, "formats=float32")
    assert asked.call().status == PASSED
    assert {o.check: o.finding for o in asked.ask(*SOME) if o.status not in (PASSED, SKIPPED)} == {}


@pytest.mark.parametrize(("word", "check", "where"), DEFECTS)
def test_the_defects_of_the_library_are_found(word: str, check: str, where: str) -> None:
    (outcome,) = Asked(word).ask(check)
    assert outcome.status == FAILED
    assert outcome.finding is not None
    assert where in outcome.finding.replay


def test_a_finding_where_torch_has_a_known_bug_needs_no_torch() -> None:
    """Only code that may call torch is compared with torch's own function."""
    (outcome,) = Asked("group_norm=paddle.nn:GroupNorm", "accuracy=one-pass").ask("parameter-grid")
    assert outcome.status == FAILED, outcome.reason


def test_the_defects_are_real() -> None:
    """Each, as far as it is a number, beside what numpy computes in float64."""
    rng = np.random.default_rng(0)
    zeros, ones = (make([4], "float64") for make in (paddle.zeros, paddle.ones))
    x, w, b = rng.standard_normal((6, 4)), rng.standard_normal(4), rng.standard_normal(4)
    leaf = lambda values: paddle.to_tensor(values, stop_gradient=False)

    single = F.batch_norm(leaf(x[:1]), zeros.clone(), ones.clone(), leaf(w), leaf(b), training=True).numpy()
    assert np.array_equal(single, x[:1])  # the input, where the bias is right

    given, weight = leaf(x), leaf(w)
    y = F.batch_norm(given, zeros.clone(), ones.clone(), weight, None, training=True)
    xh = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    assert np.allclose(y.numpy(), xh * w)
    assert paddle.grad([y], [given, weight], allow_unused=True)[1] is None  # the sum of dy xh is right

    far = (rng.standard_normal((3, 8, 4, 4)) + 1e5).astype(np.float32)
    sets = far.astype(np.float64).reshape(3, 2, -1)
    exact = (sets - sets.mean(-1, keepdims=True)) / np.sqrt(sets.var(-1, keepdims=True) + 1e-5)
    grouped = F.group_norm(paddle.to_tensor(far), 2).numpy().reshape(sets.shape)
    layered = F.layer_norm(paddle.to_tensor(far.reshape(3, 2, -1)), 64).numpy()
    assert np.abs(grouped - exact).max() > 100.0  # the mean square minus the square of the mean
    assert np.abs(layered - exact).max() < 0.01

    near, dy = rng.standard_normal((3, 8, 4, 4)), rng.standard_normal((3, 8, 4, 4))
    found = {}
    for name, scale in (("without", None), ("with", paddle.ones([8], "float64"))):
        given = leaf(near)
        y = F.group_norm(given, 2, weight=scale, bias=None if scale is None else paddle.zeros([8], "float64"))
        found[name] = paddle.grad([y], [given], [paddle.to_tensor(dy)])[0].numpy()
    assert np.abs(found["with"].reshape(3, 2, -1).sum(-1)).max() < 1e-9  # a shift of a set changes nothing
    assert np.abs(found["without"].reshape(3, 2, -1).sum(-1)).max() > 0.1  # the same function without parameters


def test_rms_norm_of_the_library_has_no_kernel_on_a_processor() -> None:
    outcome = Asked("rms_norm=paddle.nn.functional:rms_norm").call()
    assert outcome.status == ERROR
    assert "kernel `rms_norm` is not registered" in outcome.reason
    assert "\n" not in outcome.reason


@functools.cache
def _found(function: str, check: str) -> Outcome:
    asked = Asked(f"layer_norm={CODE}/wrong.py:{function}")
    return asked.conventions() if check == CONVENTIONS else asked.ask(check)[0]


@pytest.mark.parametrize(("function", "check", "fault"), WRONG)
def test_wrong(function: str, check: str, fault: str) -> None:
    outcome = _found(function, check)
    assert outcome.status == FAILED
    assert not fault or any(fault in name for name in outcome.diagnosis), outcome.diagnosis


def test_float64_in_float32_is_found_where_float64_is_claimed() -> None:
    (outcome,) = Asked(f"layer_norm={CODE}/wrong.py:output_float32", "formats=float64,float32").ask("value")
    assert outcome.status == FAILED
    assert "float64-in-float32" in outcome.diagnosis


@pytest.mark.parametrize(("function", "check"), [
    ("mean_kept_in_numerator", "value"), ("affine_ignored", "value"), ("NoBias", "value"),
    ("variance_constant", CONVENTIONS),
])  # fmt: skip
def test_a_finding_has_a_script_in_paddle(function: str, check: str) -> None:
    """It prints a number beyond the allowed one, and imports neither normcheck nor torch."""
    finding = _found(function, check).finding
    assert finding is not None
    code = "\n".join(finding.script)
    assert "import paddle" in code
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
    stateful_layer=load(f"{CODE}/right.py:BatchNorm"),
)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_kit(requirement: Requirement) -> None:
    requirement.check(FRAMEWORK, SAMPLES)


def test_what_is_no_target_is_said_in_one_sentence() -> None:
    outcome = Asked("layer_norm=paddle.optimizer:Adam").call()
    assert outcome.status == ERROR
    assert "no paddle.nn.Layer" in outcome.reason
    assert "\n" not in outcome.reason


def test_an_eps_that_the_library_refuses_is_not_asked_for() -> None:
    asked = Asked("layer_norm=paddle.nn:LayerNorm")
    assert "should be between" in asked.asker.subject(asked.claim).domain.absent["eps above 0.001"]


VERDICT = """
import sys
import normcheck

verdict = normcheck.check("paddle.nn.functional:layer_norm", as_="layer_norm", effort="quick")
assert verdict.ok, str(verdict)
print(sorted({"torch", "jax"} & set(sys.modules)))
"""


def test_a_right_function_passes_without_an_import_of_torch() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", VERDICT], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
