"""JAX fulfills the test kit for frameworks."""

from __future__ import annotations

import pytest
from asked import CODE

from normcheck.frameworks.jax.framework import FRAMEWORK
from normcheck.frameworks.load import load
from normcheck.testing.framework import REQUIREMENTS, Requirement, Samples

FAULTY = (
    "eps_outside_root", "variance_unbiased", "mean_kept_in_numerator", "one_pass_variance", "affine_ignored",
    "gain_one_plus_weight", "mean_constant", "variance_constant", "narrow_inside", "output_clipped", "eps_ignored",
)  # fmt: skip


def _shapeless(x, weight, bias, eps=1e-5):
    return x[:1]


def _raises(x, weight, bias, eps=1e-5):
    raise ValueError("no")


SAMPLES = Samples(
    layer_norm=load(f"{CODE}/right.py:layer_norm"),
    faulty={name: load(f"{CODE}/wrong.py:{name}") for name in FAULTY},
    raises=_raises,
    shapeless=_shapeless,
    batch_norm=load(f"{CODE}/right.py:batch_norm"),
    layer=load(f"{CODE}/right.py:LayerNorm"),
)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_kit(requirement: Requirement) -> None:
    requirement.check(FRAMEWORK, SAMPLES)
