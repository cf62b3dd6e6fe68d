"""Code written in Haiku: modules through `hk.transform_with_state`, with parameters put in by name."""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import CODE, Asked
from scripts import numbers_of, run

from normcheck.core.result import ERROR, FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.conventions import CONVENTIONS
from normcheck.frameworks.jax.framework import FRAMEWORK
from normcheck.frameworks.load import load
from normcheck.testing.framework import REQUIREMENTS, Requirement, Samples

hk = pytest.importorskip("haiku")

OWN = f"{CODE}/haiku_right.py"

OLD = ("momentum=old", "running-variance=biased")

RIGHT = (("layer_norm=haiku:LayerNorm",), ("instance_norm=haiku:InstanceNorm", "accuracy=half"))

SOME = ("value", "output-format", "sign", "gradient-mode", "construction", "evaluation", "history")

RIGHT_IN_SOME = (
    ("rms_norm=haiku:RMSNorm",),
    ("group_norm=haiku:GroupNorm",),
    ('group_norm=haiku:GroupNorm(data_format="channels_first")',),
    ("layer_norm=haiku:LayerNorm(-1, True, True)",),
    (f"layer_norm={OWN}:LayerNorm",),
    (f"batch_norm={OWN}:BatchNorm",),
    (f"layer_norm={OWN}:transformed",),
    (f"layer_norm={OWN}:without_key",),
    (f"group_norm={OWN}:groups",),
)

WRONG = (
    ("EpsOutsideRoot", CONVENTIONS, "eps-outside-root"),
    ("VarianceUnbiased", CONVENTIONS, "variance-unbiased"),
    ("MeanKeptInNumerator", "value", "mean-kept-in-numerator"),
    ("OnePassVariance", "value", "one-pass-variance"),
    ("AffineIgnored", "value", "affine-ignored"),
    ("MeanConstant", CONVENTIONS, "mean-term-missing"),
    ("VarianceConstant", CONVENTIONS, "variance-term-missing"),
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


def test_the_batch_norm_of_haiku_is_right_in_wide_formats_with_a_variance_in_one_pass() -> None:
    """It keeps its statistics in the format of the input, and a count by which it corrects them for their start."""
    asked = Asked("batch_norm=haiku:BatchNorm", "accuracy=one-pass", "formats=float64,float32", *OLD)
    called = asked.call()
    assert "running statistics" not in called.absent
    assert "many batches" in called.notes["count of batches"]
    found = asked.ask("output-format", "sign", "gradient-mode", "parameter-gradients", "construction", "evaluation",
                      "running-statistics")  # fmt: skip
    assert {o.check: o.finding for o in found if o.status != PASSED} == {}


def test_a_constant_channel_makes_the_batch_norm_of_haiku_nan() -> None:
    """A defect that is found, and that the formula of Haiku shows: its variance in one pass may be below zero."""
    (outcome,) = Asked("batch_norm=haiku:BatchNorm", "accuracy=one-pass", "formats=float64,float32", *OLD).ask("value")
    assert outcome.status == FAILED
    assert outcome.finding is not None
    assert np.isinf(outcome.finding.observed)
    x = jnp.full((64, 3), 1000.3, jnp.float32)
    pure = hk.transform_with_state(lambda x: hk.BatchNorm(True, True, 0.9)(x, True))
    parameters, state = pure.init(jax.random.PRNGKey(0), x)
    assert np.ptp(np.asarray(x, np.float64), axis=0).max() == 0.0  # so that the exact output is the bias, 0
    assert np.isnan(jax.jit(pure.apply)(parameters, state, None, x)[0]).all()


@functools.cache
def _found(name: str, check: str) -> Outcome:
    asked = Asked(f"layer_norm={CODE}/haiku_wrong.py:{name}")
    return asked.conventions() if check == CONVENTIONS else asked.ask(check)[0]


@pytest.mark.parametrize(("name", "check", "fault"), WRONG)
def test_wrong(name: str, check: str, fault: str) -> None:
    outcome = _found(name, check)
    assert outcome.status == FAILED
    assert not fault or any(fault in one for one in outcome.diagnosis), outcome.diagnosis


REFUSED = (
    ("layer_norm=haiku:PRNGSequence", "a class, but no flax.nnx.Module, equinox.Module or haiku.Module"),
    (f"layer_norm={CODE}/haiku_wrong.py:NeedsMore", "requires 'context' in each call beside its input"),
)


@pytest.mark.parametrize(("claim", "words"), REFUSED)
def test_what_cannot_be_called_is_said_in_one_sentence(claim: str, words: str) -> None:
    outcome = Asked(claim).call()
    assert outcome.status == ERROR
    assert words in outcome.reason
    assert "\n" not in outcome.reason


SCRIPTS = (("MeanKeptInNumerator", "value"), ("BiasIgnored", "value"), ("VarianceConstant", CONVENTIONS))


def test_a_finding_has_a_script_in_haiku(tmp_path: Path) -> None:
    """It prints a number beyond the allowed one, and imports neither normcheck nor torch."""
    (library,) = Asked("batch_norm=haiku:BatchNorm", *OLD).ask("value")
    findings = [*(_found(*one).finding for one in SCRIPTS), library.finding]
    scripts = ["\n".join(one.script) for one in findings if one is not None]
    assert len(scripts) == 4
    assert all("import haiku as hk" in one for one in scripts)
    for code, number in zip(scripts, numbers_of(scripts, tmp_path), strict=True):
        assert not number <= float(code.rpartition(" ")[2]), code


SAMPLES = Samples(
    layer_norm=load(f"{CODE}/right.py:layer_norm"),
    faulty={name: load(f"{CODE}/haiku_wrong.py:{name}") for name, *_ in WRONG},
    raises=load(f"{CODE}/refused.py:raises_no"),
    shapeless=load(f"{CODE}/refused.py:shapeless"),
    layer=load(f"{OWN}:LayerNorm"),
    stateful_layer=load(f"{OWN}:BatchNorm"),
)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_kit(requirement: Requirement) -> None:
    requirement.check(FRAMEWORK, SAMPLES)


VERDICT = """
import sys
import normcheck

for target in ("haiku:RMSNorm", "equinox.nn:RMSNorm"):
    verdict = normcheck.check(target, as_="rms_norm", effort="quick")
    assert verdict.ok, str(verdict)
print(sorted({"torch"} & set(sys.modules)))
"""


def test_right_layers_pass_without_an_import_of_torch() -> None:
    pytest.importorskip("equinox")
    assert run(VERDICT) == ["[]"]
