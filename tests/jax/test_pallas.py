"""Kernels of Pallas in its interpreter: with a gradient of their own, and for the forward pass alone."""

from __future__ import annotations

import pytest
from asked import CODE, Asked

from normcheck.core.result import FAILED, PASSED, SKIPPED
from normcheck.engine.conventions import CONVENTIONS
from normcheck.frameworks.jax.call import NO_DERIVATIVE

KERNELS = f"layer_norm={CODE}/kernels.py"


def test_a_kernel_with_its_own_gradient_is_right() -> None:
    asked = Asked(f"{KERNELS}:layer_norm")
    assert asked.call().status == PASSED
    found = asked.ask("value", "finite", "output-format", "input-gradient", "parameter-gradients", "gradient-mode")
    assert {o.check: o.finding for o in found if o.status != PASSED} == {}


def test_a_kernel_for_the_forward_pass_is_judged_forward_and_its_gradient_is_said_to_be_missing() -> None:
    asked = Asked(f"{KERNELS}:forward_only")
    called = asked.call()
    assert called.status == PASSED
    assert called.absent["gradient"] == NO_DERIVATIVE
    value, gradient = asked.ask("value", "input-gradient")
    assert value.status == PASSED
    assert gradient.status == SKIPPED
    assert gradient.reason == f"no gradient: {NO_DERIVATIVE}"


@pytest.mark.parametrize(("name", "fault"), [
    ("mean_constant", "mean-term-missing"), ("eps_outside_root", "eps-outside-root"),
])  # fmt: skip
def test_a_wrong_kernel_is_named(name: str, fault: str) -> None:
    outcome = Asked(f"{KERNELS}:{name}").conventions()
    assert outcome.status == FAILED
    assert outcome.check == CONVENTIONS
    assert any(fault in one for one in outcome.diagnosis), outcome.diagnosis
