"""The law of data-dependent initialization: mean 0 and variance 1 of each unit's pre-activation over the batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from normcheck.implementations.data_dependent import initialize

UNIT = torch.finfo(torch.float64).eps / 2


def drawn(seed: int, cases: int, inputs: int, scale: int, offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions of lengths far apart, and a batch at any scale and offset."""
    rng = torch.Generator().manual_seed(seed)
    v = torch.randn(4, inputs, generator=rng, dtype=torch.float64) * 10.0 ** torch.arange(-3.0, 1.0)[:, None]
    batch = torch.randn(cases, inputs, generator=rng, dtype=torch.float64) + offset
    return v, batch * 2.0**scale


def activations(v: torch.Tensor, batch: torch.Tensor, g: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The layer as torch computes it, (cases, units)."""
    return torch.nn.functional.linear(batch, torch._weight_norm(v, g, 0), b)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the first call starts torch's threads
@given(st.integers(0, 999), st.integers(3, 40), st.integers(2, 30), st.integers(-20, 20), st.floats(-9, 9))
def test_after_initialization_mean_is_0_and_variance_1(
    seed: int, cases: int, inputs: int, scale: int, offset: float
) -> None:
    """Both are off by roundings of sums of w x, the sizes of which are summed here."""
    v, batch = drawn(seed, cases, inputs, scale, offset)
    g, b = initialize(v, batch)

    t = activations(v, batch, g, b)
    w = torch._weight_norm(v, g, 0)
    off = UNIT * ((inputs + cases + 8) * (batch.abs() @ w.abs().T + b.abs())).amax(dim=0)

    assert (t.mean(dim=0).abs() <= 2.0 * off).all()
    assert ((t.var(dim=0, correction=0) - 1.0).abs() <= 4.0 * off * t.abs().amax(dim=0)).all()


@pytest.mark.parametrize("wrong", ["correction", "sign", "length"])
def test_the_law_fails_where_a_formula_is_wrong(wrong: str) -> None:
    """The variance that divides by n - 1, a bias of the other sign, and g in units of v are each seen."""
    v, batch = drawn(1, 12, 5, 0, 2.0)
    g, b = initialize(v, batch)
    g, b = {
        "correction": (g * (11 / 12) ** 0.5, b * (11 / 12) ** 0.5),
        "sign": (g, -b),
        "length": (g * v.norm(dim=1, keepdim=True), b),
    }[wrong]

    t = activations(v, batch, g, b)

    assert max(t.mean(dim=0).abs().max(), (t.var(dim=0, correction=0) - 1.0).abs().max()) > 1e-3


def test_the_length_of_v_does_not_matter() -> None:
    v, batch = drawn(2, 12, 5, 0, 0.0)
    first, second = initialize(v, batch), initialize(8.0 * v, batch)

    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_unit_without_variance_is_refused_in_one_sentence() -> None:
    v, batch = drawn(3, 6, 4, 0, 0.0)

    with pytest.raises(ValueError, match="no variance over the batch in unit 0, 1, 2, 3; take cases that differ"):
        initialize(v, batch[:1].expand(6, 4))
