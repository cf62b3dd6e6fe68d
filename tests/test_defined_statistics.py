"""Layers by statistics of a reference, of earlier calls and of windows: as users write them, and what traces them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from sweeps import sweep

import normcheck
from normcheck.core.errors import UsageError
from normcheck.core.floats import FLOAT64
from normcheck.families.defined.case import DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.kinds import ENTRIES as KINDS
from normcheck.families.defined.reference import answer, output
from normcheck.families.defined.space import FAR, DefinedDraw, defined_case
from normcheck.families.defined.tracing.arithmetic import Arithmetic
from normcheck.families.defined.tracing.gradients import constant, gradients, straight_through
from normcheck.families.defined.tracing.traced import Traced

ENTRIES = {entry.name: entry for entry in KINDS}
CODE = Path(__file__).parent / "user_code" / "defined"

RIGHT = [
    ("power_norm", "powers.py:power_norm"),
    ("power_norm", "powers.py:PowerNormOfMaps"),
    ("power_norm_v", "powers.py:by_root_mean_square"),
    ("power_norm_v", "powers.py:ByLength"),
    ("virtual_batch_norm", "references.py:joined"),
    ("virtual_batch_norm", "references.py:OfReferenceBatch"),
    ("streaming_batch_norm", "streams.py:StreamingNorm"),
    ("streaming_batch_norm", "streams.py:by_autograd"),
    ("local_context_norm", "windows.py:ByPooling"),
    ("local_context_norm", "windows.py:window_by_window"),
    ("local_context_norm", "windows.py:cut_windows"),
    ("local_context_norm", "windows.py:SmallWindows"),
]

WRONG = [
    ("power_norm", "powers.py:PowerNormOfAuthors", "power-backward-by-batch"),
    ("power_norm", "powers.py:UpdatesFirst", "power-updated-first"),
    ("power_norm", "powers.py:momentum_of_torch", "power-shares-exchanged"),
    ("power_norm_v", "powers.py:of_each_case", "power-v-over-units"),
    ("power_norm_v", "powers.py:batch_norm", "power-v-centered"),
    ("power_norm_v", "powers.py:by_deviation", "power-v-variance"),
    ("virtual_batch_norm", "references.py:VirtualBatchNorm1d", "virtual-of-current-batch"),
    ("virtual_batch_norm", "references.py:of_reference_alone", "virtual-reference-alone"),
    ("virtual_batch_norm", "references.py:of_detached_cases", "virtual-case-is-constant"),
    ("virtual_batch_norm", "references.py:of_averaged_variances", "virtual-variances-averaged"),
    ("streaming_batch_norm", "streams.py:detached", "streaming-gradient-detached"),
    ("streaming_batch_norm", "streams.py:momentum_of_torch", "streaming-decay-exchanged"),
    ("streaming_batch_norm", "streams.py:keeps_the_mix", "streaming-mix-kept"),
    ("streaming_batch_norm", "streams.py:of_variances", "streaming-of-variances"),
    ("local_context_norm", "windows.py:of_constants", "local-context-detached"),
    ("local_context_norm", "windows.py:one_late", "local-context-one-late"),
    ("local_context_norm", "windows.py:of_zeros", "local-context-zeros-counted"),
    ("local_context_norm", "windows.py:OfEachChannel", "local-context-each-channel"),
    ("local_context_norm", "windows.py:PooledDeviations", "local-context-own-means"),
]


def named(word: str) -> str:
    return word.rpartition(":")[2]


@sweep(("kind", "target"), RIGHT, ids=named)
def test_right_layers_pass(kind: str, target: str) -> None:
    found = normcheck.check(f"{CODE}/{target}", as_=kind)

    assert found.ok
    assert not found.warnings


@sweep(("kind", "target", "fault"), WRONG, ids=named)
def test_wrong_layers_fail_for_one_cause(kind: str, target: str, fault: str) -> None:
    found = normcheck.check(f"{CODE}/{target}", as_=kind, effort="quick")

    assert [cause["name"] for cause in found.causes] == [fault]


@pytest.mark.parametrize(
    ("kind", "target", "said"),
    [
        ("streaming_batch_norm", "streams.py:StreamingNorm", "takes no full_gradient; the fixed one is True"),
        ("streaming_batch_norm", "streams.py:by_autograd", "takes no full_gradient; the fixed one is False"),
        ("local_context_norm", "windows.py:window_by_window", "takes no border; the fixed one is whole"),
        ("local_context_norm", "windows.py:cut_windows", "takes no border; the fixed one is cut"),
        ("local_context_norm", "windows.py:SmallWindows", "takes no window_size; the fixed one is (5, 3)"),
    ],
)
def test_what_code_fixes_is_measured(kind: str, target: str, said: str) -> None:
    found = normcheck.check(f"{CODE}/{target}", as_=kind, effort="smoke")

    assert said in found.not_checked.values()


def test_a_constant_is_told_where_another_one_makes_no_difference() -> None:
    """Windows larger than the map have no border, so its kind cannot be told; their size can."""
    found = normcheck.check(f"{CODE}/windows.py:of_whole_maps", as_="local_context_norm", effort="quick")

    assert found.ok
    assert "takes no window_size; the fixed one is (227, 227)" in " ".join(str(found).split())


DY = np.random.default_rng(1).standard_normal((3, 4, 4))


def _moved(v: Any) -> Any:
    windows = sliding_window_view(v, (3, 2), axis=(1, 2))
    return np.pad((windows * windows).mean((3, 4)), ((0, 0), (1, 1), (0, 1)), mode="edge") * v


@pytest.mark.parametrize("forward", [_moved, lambda v: straight_through(constant(v.sum()) * v, v * v)])
def test_windows_and_straight_gradients_are_those_of_the_complex_step(forward: Any) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 4))
    leaf = Traced(x, np.zeros(x.shape), Arithmetic(FLOAT64.u), live=True)
    y = forward(leaf)
    (found,) = gradients(y, DY, [leaf])
    exact = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        z = x.astype(complex)
        z[at] += 1e-30j
        exact[at] = (DY * forward(z)).sum().imag / 1e-30

    assert np.allclose(y.value, forward(x), rtol=0, atol=1e-14)
    assert np.all(np.abs(found.value - exact) <= found.off + FLOAT64.u * np.abs(exact))
    assert np.abs(exact).max() > 0.1


def test_an_entry_in_many_windows_has_the_errors_of_all() -> None:
    """The gradient of an entry sums one term for each window that it is in, each with a rounding of its own."""
    leaf = Traced(np.ones(5), np.zeros(5), Arithmetic(FLOAT64.u), live=True)
    windows: Any = sliding_window_view(leaf, 3)
    (found,) = gradients(windows, np.ones((3, 3)), [leaf])

    assert found.value.tolist() == [1.0, 2.0, 3.0, 2.0, 1.0]
    assert (found.off / FLOAT64.u).tolist() == [0.0, 4.0, 9.0, 4.0, 0.0]


def test_the_reference_is_drawn_as_the_input() -> None:
    """A mean far above the deviation is one of both batches, so that squares of it cannot be subtracted."""
    case = defined_case(ENTRIES["virtual_batch_norm"], DefinedDraw(values=FAR))

    assert case.arrays["reference"].shape == case.x.shape
    assert case.arrays["reference"].min() > 2.0**15


def test_squares_of_a_far_mean_are_not_subtracted() -> None:
    found = normcheck.check(f"{CODE}/references.py:in_one_pass", as_="virtual_batch_norm", effort="quick")

    assert {check for cause in found.causes for check in cause["checks"]} == {"defined-output", "defined-gradient"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alike": frozenset({"weight"})}, "has not the input's shape"),
        ({"alike": frozenset({"gain"})}, "no parameter gain"),
        ({"aliases": {"gain": ("g",)}}, "no parameter gain"),
    ],
)
def test_a_definition_that_cannot_be_used_is_refused(changes: dict[str, Any], said: str) -> None:
    values: dict[str, Any] = {"name": "mine", "forward": lambda x, weight, eps=1e-5: weight * x}
    with pytest.raises(UsageError, match=said):
        DefinedNormalizer(**values | changes)


def of_torch(norm: Any, x: Any, case: DefinedCase, *others: Any, **named: Any) -> Any:
    """A function of torch of the weight and bias of a case."""
    weight, bias = (torch.tensor(case.arrays[name]) for name in ("weight", "bias"))
    return norm(x, *others, weight=weight, bias=bias, eps=case.constants["eps"], **named)


def test_windows_larger_than_the_map_are_those_of_group_norm() -> None:
    entry = ENTRIES["local_context_norm"]
    case = defined_case(entry, DefinedDraw(seed=2))
    case = case.but(constants={**case.constants, "window_size": (227, 227)})
    groups = case.x.shape[1] // case.constants["channels_per_group"]
    whole = of_torch(torch.nn.functional.group_norm, torch.tensor(case.x), case, groups)

    assert np.allclose(output(entry, case), whole.numpy(), rtol=0, atol=1e-12)


def test_power_norm_of_centered_units_is_batch_norm() -> None:
    entry = ENTRIES["power_norm_v"]
    case = defined_case(entry, DefinedDraw(seed=2))
    case = case.but(x=case.x - case.x.mean(0))
    whole = of_torch(torch.nn.functional.batch_norm, torch.tensor(case.x), case, None, None, training=True)

    assert np.allclose(output(entry, case), whole.numpy(), rtol=0, atol=1e-12)


def test_streaming_statistics_without_a_past_are_those_of_the_batch() -> None:
    """With alpha 0 it is batch norm, gradient included."""
    entry = ENTRIES["streaming_batch_norm"]
    case = defined_case(entry, DefinedDraw(rank=3, seed=2))
    alone = answer(entry, case.but(constants={**case.constants, "alpha": 0.0}))
    x = torch.tensor(case.x, requires_grad=True)
    y = of_torch(torch.nn.functional.batch_norm, x, case, None, None, training=True)
    y.backward(torch.tensor(case.dy))

    assert x.grad is not None
    assert np.allclose(alone.y, y.detach().numpy(), rtol=0, atol=1e-12)
    assert np.allclose(alone.gradients["x"], x.grad.numpy(), rtol=0, atol=1e-12)


def test_virtual_batch_norm_is_batch_norm_of_the_reference_and_one_case() -> None:
    entry = ENTRIES["virtual_batch_norm"]
    case = defined_case(entry, DefinedDraw(rank=4, seed=3))
    y, reference = output(entry, case), case.arrays["reference"]
    for i, one in enumerate(case.x):
        batch = torch.tensor(np.concatenate([reference, one[None]]))
        whole = of_torch(torch.nn.functional.batch_norm, batch, case, None, None, training=True)

        assert np.allclose(y[i], whole[-1].numpy(), rtol=0, atol=1e-12)
