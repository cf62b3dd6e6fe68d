"""Layouts: what they are, that the arrays keep their values in them, and what torch is known to get wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from normcheck import expected
from normcheck.adapters.torch_tensors import placed
from normcheck.case import Case
from normcheck.checks import layout
from normcheck.claim import Implementation
from normcheck.floats import FLOAT32
from normcheck.layouts import NAMES, applies, geometry
from normcheck.result import ERROR, FAILED, PASSED
from normcheck.session import Session

SHAPES = [(4, 3), (1, 5), (2, 3, 4), (2, 3, 2, 5), (2, 1, 3, 1, 2), (7,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_values_are_kept_and_surrounded_by_nan(shape: tuple[int, ...], name: str) -> None:
    """A placed array has its values and strides; all other memory is NaN, before and after it."""
    if not applies(shape, name):
        pytest.skip("the shape does not allow this layout")
    values = np.arange(math.prod(shape), dtype=float).reshape(shape) + 1.0
    if name == "expanded":
        values = np.broadcast_to(values[:1], shape).copy()
    view, buffer = placed(values, Case(x=values, eps=1e-5, format=FLOAT32, layouts={"x": name}), "x")

    assert view.numpy().tolist() == values.tolist()
    assert view.stride() == geometry(shape, name).strides
    held = np.unique(values).size if name == "expanded" else values.size
    assert int((~buffer.isnan()).sum()) == held
    if name != "contiguous":
        assert bool(buffer[:5].isnan().all())
        assert bool(buffer[-5:].isnan().all())


def test_channels_last_is_torchs() -> None:
    """The strides of "channels last" are those that torch gives the format."""
    x = torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)

    assert geometry((2, 3, 4, 5), "channels last").strides == x.stride()


def outcomes(function, kind: str) -> dict[str, str]:
    session = Session.of([(kind, function)], [], "quick")
    claim = session.claims[0]
    return {check.name: session.ask(claim, check).status for _, check in session.questions(layout.CHECKS)}


def test_the_same_in_a_users_code_is_a_finding() -> None:
    """torch's known fault in channels-last group norm is expected of torch's names only."""

    def mine(x, num_groups, weight=None, bias=None, eps=1e-5):
        return torch.nn.functional.group_norm(x, num_groups, weight, bias, eps)

    assert outcomes(mine, "group_norm")["input-layout"] == FAILED
    assert outcomes("torch.nn.functional:group_norm", "group_norm")["input-layout"] == PASSED


def test_reproduction() -> None:
    """The reproduction in plain torch shows what the entry says."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 8, 8) + 1000.0
    exact = torch.nn.functional.group_norm(x.double(), 2)
    last = torch.nn.functional.group_norm(x.contiguous(memory_format=torch.channels_last), 2)

    assert float((torch.nn.functional.group_norm(x, 2) - exact).abs().max()) < 1e-3
    assert float((last - exact).abs().max()) > 0.1
    assert all(line in expected.ALL[0].reproduction for line in ("+ 1000.0", "memory_format=torch.channels_last"))


def test_reproduction_of_the_bias_alone() -> None:
    entry = expected.of("torch.nn.functional:group_norm", "parameter-grid")

    assert entry is not None
    with pytest.raises(RuntimeError, match="tensor does not have a device"):
        exec(entry.reproduction, {})  # our own text


def test_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry whose finding is gone is an error that says to remove it."""
    entry = expected.Expected(
        ("torch.nn.functional:layer_norm",), ("input-layout",), "reason", "source", "", layouts=("transposed",)
    )
    monkeypatch.setattr(expected, "of", lambda target, check: entry if check == "input-layout" else None)
    session = Session.of([Implementation("layer_norm", "torch.nn.functional:layer_norm")], [], "quick")
    outcome = session.ask(session.claims[0], layout.CHECKS[0])

    assert outcome.status == ERROR
    assert outcome.reason == "the expected finding (reason) is gone: remove it from normcheck/expected.py"


def test_contiguous_only_is_reported() -> None:
    """Code that refuses other layouts is right there: listed as not offered, not asked."""

    def strict(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        if not x.is_contiguous():
            raise ValueError("x must be contiguous")
        return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)

    session = Session.of([("layer_norm", strict)], [], "quick")
    claim = session.claims[0]

    assert "raised ValueError: x must be contiguous" in session.call(claim).absent.values()
    assert session.ask(claim, layout.CHECKS[0]).status == PASSED
