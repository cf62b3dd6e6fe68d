"""Code written in Equinox: what it computes is checked under jax.vmap where it takes one example."""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import CODE, Asked
from scripts import numbers_of

from normcheck.core.result import ERROR, FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.conventions import CONVENTIONS
from normcheck.frameworks.jax.framework import FRAMEWORK
from normcheck.frameworks.load import load
from normcheck.testing.framework import REQUIREMENTS, Requirement, Samples

eqx = pytest.importorskip("equinox")

OWN = f"{CODE}/equinox_right.py"

OLD = ("momentum=old", "running-variance=biased")
"""The conventions of the running statistics of Equinox and Haiku, which are measured first."""

RIGHT = (
    ("layer_norm=equinox.nn:LayerNorm",),
    ('batch_norm=equinox.nn:BatchNorm(mode="batch")', *OLD, "accuracy=half"),
)
"""Targets with the conventions that they follow where these are not the default."""

SOME = ("value", "output-format", "constant-rows", "gradient-mode", "construction", "evaluation", "history")

RIGHT_IN_SOME = (
    ("rms_norm=equinox.nn:RMSNorm",),
    ("group_norm=equinox.nn:GroupNorm",),
    ("instance_norm=equinox.nn:GroupNorm(groups=8, channels=8)",),
    (f"layer_norm={OWN}:library_instance",),
    (f"group_norm={OWN}:groups",),
    (f"batch_norm={OWN}:with_state", *OLD),
    (f"layer_norm={OWN}:ForOneExample",),
    (f"layer_norm={OWN}:ForABatch",),
    (f"rms_norm={OWN}:ForASequence",),
    (f"layer_norm={OWN}:OtherNames",),
    (f"layer_norm={OWN}:StartsAtZero", "initial=any"),
    (f"layer_norm={OWN}:instance",),
    (f"layer_norm={OWN}:from_arrays",),
    (f"batch_norm={OWN}:BatchNorm",),
)

WRONG = (
    ("EpsOutsideRoot", CONVENTIONS, "eps-outside-root"),
    ("VarianceUnbiased", CONVENTIONS, "variance-unbiased"),
    ("MeanKeptInNumerator", "value", "mean-kept-in-numerator"),
    ("OnePassVariance", "value", "one-pass-variance"),
    ("AffineIgnored", "value", "affine-ignored"),
    ("GainOnePlusWeight", CONVENTIONS, "weight-offset-one"),
    ("MeanConstant", CONVENTIONS, "mean-term-missing"),
    ("VarianceConstant", CONVENTIONS, "variance-term-missing"),
    ("NarrowInside", "value", ""),
    ("TailDropped", "value", ""),
    ("OutputClipped", "value", ""),
    ("OutputFloat32", "output-format", "wrong-format-output"),
    ("EpsIgnored", "eps-is-read", "eps-ignored"),
    ("BiasIgnored", "value", "bias-ignored"),
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
    called = asked.call()
    assert called.status == PASSED, called.reason
    assert {o.check: o.finding for o in asked.ask(*SOME) if o.status not in (PASSED, SKIPPED)} == {}


@functools.cache
def _found(name: str, check: str) -> Outcome:
    asked = Asked(f"layer_norm={CODE}/equinox_wrong.py:{name}")
    return asked.conventions() if check == CONVENTIONS else asked.ask(check)[0]


@pytest.mark.parametrize(("name", "check", "fault"), WRONG)
def test_wrong(name: str, check: str, fault: str) -> None:
    outcome = _found(name, check)
    assert outcome.status == FAILED
    assert not fault or any(fault in one for one in outcome.diagnosis), outcome.diagnosis


def test_a_variance_that_stays_within_examples_is_found() -> None:
    (outcome,) = Asked(f"batch_norm={CODE}/equinox_wrong.py:VarianceWithinExamples").ask("value")
    assert outcome.status == FAILED


@pytest.mark.parametrize(("name", "noted"), [
    ("equinox.nn:LayerNorm", True), (f"{OWN}:ForOneExample", True), (f"{OWN}:ForABatch", False),
])  # fmt: skip
def test_that_a_layer_takes_one_example_is_measured_and_said(name: str, noted: bool) -> None:
    assert ("one example" in Asked(f"layer_norm={name}").call().notes) == noted


def test_running_statistics_are_checked() -> None:
    """The rule of the update is measured; a count of batches, and the momentum that it forbids, are said."""
    asked = Asked('batch_norm=equinox.nn:BatchNorm(mode="batch")', *OLD)
    called = asked.call()
    assert "running statistics" not in called.absent
    assert "many batches" in called.notes["count of batches"]
    assert "divides by" in called.absent["momentum 1"]
    assert [o.status for o in asked.ask("running-statistics", "evaluation", "history")] == [PASSED] * 3


def test_the_first_batches_of_equinox_count_the_variance_that_it_starts_with() -> None:
    """A fact of Equinox 0.13 that no check asks: a variance that starts at 1 is corrected for a start at 0.

    After one batch an evaluation has the variance of that batch and momentum / (1 - momentum) besides.
    """
    x = np.random.default_rng(0).standard_normal((64, 3))
    layer, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, axis_name="batch", mode="batch", momentum=0.9)
    mapped = lambda layer, state: jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(
        jnp.asarray(x, jnp.float32), state
    )
    _, state = mapped(layer, state)
    y, _ = mapped(eqx.nn.inference_mode(layer), state)
    exact = lambda var: (x - x.mean(0)) / np.sqrt(var + 1e-5)
    assert np.allclose(y, exact(x.var(0) + 0.9 / 0.1), atol=1e-4)
    assert not np.allclose(y, exact(x.var(0)), atol=0.1)


REFUSED = (
    ("batch_norm=equinox.nn:BatchNorm", "name it with that option fixed, as in --norm"),
    ("layer_norm=equinox.nn:State", "a class, but no flax.nnx.Module, equinox.Module or haiku.Module"),
    (f"layer_norm={OWN}:FromArrays", "name an instance of it"),
    (f"layer_norm={CODE}/equinox_wrong.py:NeedsMore", "requires 'context' in each call beside its input"),
)


@pytest.mark.parametrize(("claim", "words"), REFUSED)
def test_what_cannot_be_called_is_said_in_one_sentence(claim: str, words: str) -> None:
    outcome = Asked(claim).call()
    assert outcome.status == ERROR
    assert words in outcome.reason
    assert "\n" not in outcome.reason


def test_running_averages_in_training_are_what_equinox_says_of_itself() -> None:
    """The mode that is refused: two states give two outputs for the same batch."""
    make = eqx.nn.make_with_state(eqx.nn.BatchNorm)
    layer, state = make(3, axis_name="batch", mode="ema")
    mapped = jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    x = jax.random.normal(jax.random.PRNGKey(0), (8, 3))
    first, state = mapped(x, state)
    second, _ = mapped(5.0 * x, state)
    assert not np.allclose(first, second, atol=0.1)


SCRIPTS = (("MeanKeptInNumerator", "value"), ("BiasIgnored", "value"), ("VarianceConstant", CONVENTIONS))


def test_a_finding_has_a_script_in_equinox(tmp_path: Path) -> None:
    """It prints a number beyond the allowed one, and imports neither normcheck nor torch."""
    findings = [_found(*one).finding for one in SCRIPTS]
    (batch,) = Asked(f"batch_norm={CODE}/equinox_wrong.py:VarianceWithinExamples").ask("value")
    scripts = ["\n".join(one.script) for one in (*findings, batch.finding) if one is not None]
    assert len(scripts) == 4
    assert all("import equinox as eqx" in one for one in scripts)
    for code, number in zip(scripts, numbers_of(scripts, tmp_path), strict=True):
        assert not number <= float(code.rpartition(" ")[2]), code


SAMPLES = Samples(
    layer_norm=load(f"{CODE}/right.py:layer_norm"),
    faulty={name: load(f"{CODE}/equinox_wrong.py:{name}") for name, *_ in WRONG},
    raises=load(f"{CODE}/refused.py:raises_no"),
    shapeless=load(f"{CODE}/refused.py:shapeless"),
    layer=load(f"{OWN}:ForOneExample"),
    stateful_layer=load(f"{OWN}:BatchNorm"),
)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_kit(requirement: Requirement) -> None:
    requirement.check(FRAMEWORK, SAMPLES)
