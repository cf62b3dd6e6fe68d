"""Unusual sizes: the shapes are as wanted, wrong torch code is found by its check, torch's own functions pass."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from normcheck import families
from normcheck.core.check import Check
from normcheck.core.claim import Implementation
from normcheck.core.result import FAILED, PASSED, Outcome
from normcheck.engine.search import Effort, search
from normcheck.families import bind as subject
from normcheck.frameworks.torch.tensors import one_thread
from normcheck.normalizers import catalog, faults
from normcheck.normalizers.checks import sizes as checks
from normcheck.normalizers.reference.oracle import partition
from normcheck.normalizers.sampling import sizes
from normcheck.normalizers.sampling.recipes import Draw, small
from normcheck.normalizers.sampling.space import formats
from normcheck.normalizers.subject import Subject

BY_NAME = {check.name: check for check in checks.CHECKS}
KINDS = list(catalog.ALL)
F = torch.nn.functional

TORCH = (
    ("layer_norm", "torch.nn.functional:layer_norm"),
    ("rms_norm", "torch.nn:RMSNorm"),
    ("group_norm", "torch.nn.functional:group_norm"),
    ("instance_norm", "torch.nn:InstanceNorm2d"),
    ("batch_norm", "torch.nn:BatchNorm1d"),
    ("weight_norm", "torch:_weight_norm"),
)


def ask(mine: Subject, check: Check) -> Outcome:
    with one_thread():
        return search(mine, check, Effort(0))


def able(mine: Subject) -> list[Check]:
    return [
        check
        for check in checks.CHECKS
        if check.concerns(mine.normalizer) and not check.lacks(mine) and formats(check.space, mine.domain)
    ]


@pytest.mark.parametrize(("kind", "target"), TORCH)
def test_torch_passes(kind: str, target: str) -> None:
    mine = subject(Implementation(kind, target))
    outcomes = [ask(mine, check) for check in able(mine)]

    assert [(o.check, o.finding) for o in outcomes if o.status != PASSED] == []
    assert {o.check: o.compared for o in outcomes}["wide-sets"] > 1 << 19
    assert {o.check: o.compared for o in outcomes}["many-sets-gradient"] > 3 * 4 * 65_535


def unwritten(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """One block for each row, as far as the grid goes."""
    y = F.layer_norm(input, normalized_shape, weight, bias, eps)
    rows = y.reshape(-1, max(1, int(np.prod(normalized_shape)))) if y.numel() else y
    return torch.cat([rows[:65535], torch.zeros_like(rows[65535:])]).reshape(y.shape)


def truncated(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Statistics of the first 65,536 members."""
    a = input.flatten(-len(normalized_shape))
    head = a[..., :65536]
    mean, var = head.mean(-1, keepdim=True), head.var(-1, correction=0, keepdim=True)
    y = ((a - mean) / (var + eps).sqrt()).reshape(input.shape)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def column(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Looks for its set along the second axis."""
    if input.ndim == 1:
        return torch.zeros_like(input) if bias is None else bias + 0.0 * input
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


class Averaged(torch.autograd.Function):
    """Averages the parameters' gradients over blocks of rows, and multiplies by their number again."""

    @staticmethod
    def forward(ctx: Any, input, normalized_shape, weight, bias, eps):
        ctx.save_for_backward(input, weight, bias)
        ctx.rest = normalized_shape, eps
        return F.layer_norm(input, normalized_shape, weight, bias, eps)

    @staticmethod
    def backward(ctx: Any, dy):
        input, weight, bias = ctx.saved_tensors
        shape, eps = ctx.rest
        with torch.enable_grad():
            leaves = [leaf.detach().requires_grad_() for leaf in (input, weight, bias)]
            y = F.layer_norm(leaves[0], shape, *leaves[1:], eps)
        dx, dweight, dbias = torch.autograd.grad(y, leaves, dy)
        count = torch.tensor(float(dy[..., 0].numel()))
        return dx, None, dweight / count * count, dbias / count * count, None


def averaged(input, normalized_shape, weight, bias, eps=1e-5):
    return Averaged.apply(input, normalized_shape, weight, bias, eps)


def of_four(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Reads as many channels as the next power of two has, into the next group."""
    cases, channels = input.shape[:2]
    per = channels // num_groups
    wide = 1 << (per - 1).bit_length()
    a = input.reshape(cases, channels, -1)
    padded = torch.cat([a, a[:, :wide]], 1)
    groups = torch.stack([padded[:, g * per : g * per + wide] for g in range(num_groups)], 1)
    mean, var = groups.mean((2, 3), keepdim=True), groups.var((2, 3), correction=0, keepdim=True)
    y = ((a.reshape(cases, num_groups, per, -1) - mean) / (var + eps).sqrt()).reshape(input.shape)
    spread = (1, channels, *(1,) * (input.ndim - 2))
    y = y if weight is None else y * weight.reshape(spread)
    return y if bias is None else y + bias.reshape(spread)


@pytest.mark.parametrize(
    ("kind", "function", "check"),
    [
        ("layer_norm", unwritten, "many-sets"),
        ("layer_norm", unwritten, "many-sets-gradient"),
        ("layer_norm", truncated, "wide-sets"),
        ("layer_norm", truncated, "wide-sets-gradient"),
        ("layer_norm", column, "odd-shapes"),
        ("layer_norm", column, "odd-shapes-gradient"),
        ("group_norm", of_four, "odd-shapes"),
        ("group_norm", of_four, "odd-shapes-gradient"),
        ("layer_norm", averaged, "empty-gradient"),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_wrong_torch_code_is_found(kind: str, function: Any, check: str) -> None:
    mine = subject(Implementation(kind, function))

    assert ask(mine, BY_NAME[check]).status == FAILED


def test_what_is_refused_is_not_asked() -> None:
    def small_only(input, normalized_shape, weight=None, bias=None, eps=1e-5):
        if input.numel() > 1 << 16 or input.ndim == 1 or input.numel() == 0:
            raise ValueError("not that size")
        return F.layer_norm(input, normalized_shape, weight, bias, eps)

    mine = subject(Implementation("layer_norm", small_only))
    outcomes = {check.name: ask(mine, check) for check in able(mine)}

    assert {o.status for o in outcomes.values()} == {PASSED}
    assert mine.domain.empty == ()
    assert "inputs 1x524288" in outcomes["wide-sets-gradient"].absent
    assert "inputs a vector of 5" in outcomes["odd-shapes"].absent


def test_slow_code_is_not_asked_for_what_would_take_minutes() -> None:
    def entry_by_entry(input, normalized_shape, weight=None, bias=None, eps=1e-5):
        time.sleep(1e-5 * input.numel())
        return F.layer_norm(input, normalized_shape, weight, bias, eps)

    outcome = ask(subject(Implementation("layer_norm", entry_by_entry)), BY_NAME["wide-sets-gradient"])

    assert outcome.status == PASSED
    assert outcome.compared < 1 << 19


@pytest.mark.parametrize("kind", KINDS)
def test_large_cases_have_the_sets_that_were_asked_for(kind: str) -> None:
    normalizer = families.get(kind)
    for rank in faults.subject(normalizer).domain.ranks:
        if rank == 1:  # each entry is a set of its own
            continue
        wide = sizes.wide(normalizer, Draw(n=1 << 18, rank=rank, format="float32"))
        assert (partition(normalizer, wide).sets, partition(normalizer, wide).n) == (2, 1 << 18)
        many = sizes.many(normalizer, Draw(n=65_537, rank=rank, format="float32"))
        assert partition(normalizer, many).sets == 65_537
        assert partition(normalizer, many).n == sizes.TRIPLE
        assert wide.x.ndim == many.x.ndim == rank


@pytest.mark.parametrize("kind", KINDS)
def test_odd_shapes_have_statistics(kind: str) -> None:
    mine = faults.subject(families.get(kind))
    case = small(mine.normalizer, Draw(rank=mine.domain.ranks[0], format="float32"))
    shapes = list(sizes.odd(mine.normalizer, case, mine.domain.ranks, mine.domain.normalized))

    assert len({here.x.shape for here in shapes}) >= 3
    for here in shapes:
        part = partition(mine.normalizer, here)
        flat = part.gather(here.x)

        assert part.n > 1
        assert (flat.max(axis=1) > flat.min(axis=1)).all()


def test_an_empty_case_keeps_its_parameters_where_they_belong() -> None:
    normalizer = families.get("layer_norm")
    case = small(normalizer, Draw(n=6, sets=4))
    found = {what: sizes.hollow(case, axis) for what, axis in sizes.hollows(normalizer, case).items()}

    assert found["sets"].x.shape == (0, 6)
    assert found["sets"].weight is case.weight
    assert found["members"].x.shape == (4, 0)
    assert found["members"].weight is not None
    assert found["members"].weight.shape == (0,)
    assert sizes.hollows(families.get("weight_norm"), case) == {}
