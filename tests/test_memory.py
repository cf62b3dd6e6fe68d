"""Extra copies and casts are found and named: on simulated steps, and as torch's profiler tells them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from normcheck.bench.grid import SpeedQuestion
from normcheck.bench.memory import (
    CAST,
    COPY,
    MORE,
    TEMPORARY,
    WITHIN,
    MemoryUse,
    find_extras,
    judge_memory,
    measure_memory,
    required_bytes,
)
from normcheck.bench.speed import case_of
from normcheck.bench.torch_device import CUDA_BLOCK, Cuda, Host
from normcheck.bench.torch_profile import profile_call
from normcheck.bench.trace import REGION, TensorCopy, TraceStep, follow_allocations
from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError
from normcheck.core.floats import FORMATS
from normcheck.families import bind as subject

F = torch.nn.functional
SETS, N = 32, 768
X = SETS * N * 4


def clones(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return F.layer_norm(x.clone(), normalized_shape, weight, bias, eps)


def straightens(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    turned = x.t().contiguous()
    return F.layer_norm(turned.t(), normalized_shape, weight, bias, eps)


def widens(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    mean = x.double().mean(-1, keepdim=True)
    return F.layer_norm(x - mean.to(x.dtype), normalized_shape, weight, bias, eps)


def tidy(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return F.layer_norm(x.contiguous().to(x.dtype), normalized_shape, weight, bias, eps)


def hoards(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    class Hoard(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x + 1.0, x + 2.0)
            return x.view_as(x)

        @staticmethod
        def backward(ctx, dy):
            return dy

    return F.layer_norm(Hoard.apply(x), normalized_shape, weight, bias, eps)


def measured(target: Any, part: str = "forward", kind: str = "layer_norm", format: str = "float32") -> MemoryUse:
    found = subject(Implementation(kind, target))
    return measure_memory(found, case_of(found, SpeedQuestion(SETS, N, part, format)), part)


def test_an_extra_clone_is_found_and_named() -> None:
    [one] = measured(clones).hidden

    assert str(one) == f"copy by aten::clone in forward (32x768, {X} bytes)"


def test_an_extra_contiguous_is_found_and_named() -> None:
    """The transpose is made contiguous, and torch makes it so once more for its kernel."""
    first, second = measured(straightens).hidden

    assert {first.shape, second.shape} == {(SETS, N), (N, SETS)}
    assert {(one.kind, one.operator, one.bytes) for one in (first, second)} == {(COPY, "aten::contiguous", X)}


def test_an_extra_double_is_found_and_named_as_a_cast() -> None:
    [one] = measured(widens).hidden

    assert str(one) == f"cast from float32 to float64 by aten::to in forward (32x768, {2 * X} bytes)"


def test_what_need_not_copy_is_not_named() -> None:
    """contiguous() of what is contiguous and to() the same dtype move nothing."""
    assert measured(tidy).hidden == ()


@pytest.mark.parametrize("part", ["forward", "both"])
@pytest.mark.parametrize("format", FORMATS)
def test_torchs_own_has_none(part: str, format: str) -> None:
    found = measured("torch.nn.functional:layer_norm", part, format=format)

    assert found.hidden == ()
    assert found.peak <= 1.1 * found.needed


def test_the_peak_of_a_forward_is_what_it_returns_and_its_statistics() -> None:
    assert measured("torch.nn.functional:layer_norm").peak == X + 2 * 4 * SETS
    assert measured(clones).peak == 2 * X + 2 * 4 * SETS


def test_what_is_kept_for_the_backward_is_told() -> None:
    assert measured("torch.nn.functional:layer_norm", "both").kept == 2 * 4 * SETS
    assert measured(hoards, "both").kept == 2 * 4 * SETS + 2 * X


def test_a_copy_in_the_backward_is_told_there() -> None:
    """The gradient of a cast is a cast."""
    casts = {(one.part, one.source, one.to) for one in measured(widens, "both").hidden}

    assert ("forward", "float32", "float64") in casts
    assert ("backward", "float64", "float32") in casts


def test_a_cast_of_narrow_input_is_named_as_one() -> None:
    def upcasts(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        return F.layer_norm(x.float(), normalized_shape, weight.float(), bias.float(), eps).to(x.dtype)

    kinds = [(one.kind, one.source, one.to) for one in measured(upcasts, format="bfloat16").hidden]

    assert kinds == [(CAST, "bfloat16", "float32"), (CAST, "float32", "bfloat16")]


@pytest.mark.parametrize("kind", ["batch_norm", "group_norm", "instance_norm", "weight_norm"])
def test_fused_functions_of_other_kinds_have_no_full_copies(kind: str) -> None:
    target = "torch:_weight_norm" if kind == "weight_norm" else f"torch.nn.functional:{kind}"

    assert measured(target, "both", kind).hidden == ()


def test_what_works_on_no_tensors_is_refused() -> None:
    found = replace(
        subject(Implementation("layer_norm", "torch.nn.functional:layer_norm")), call=lambda case, gradient: None
    )

    with pytest.raises(CallError, match="does not take torch tensors"):
        measure_memory(found, case_of(found, SpeedQuestion(2, 8, "forward")), "forward")


def block(pointer: int, size: int, *path: str, part: str = "forward") -> TraceStep:
    return TraceStep(part, path, size, pointer)


def test_the_peak_is_of_what_is_held_at_once() -> None:
    steps = [
        block(1, 100),
        block(2, 50),
        block(1, -100),
        block(3, 70, part="backward"),
        block(9, -1000, part="backward"),
    ]
    found = follow_allocations(steps)

    assert found.peak == 150
    assert found.left == {"forward": 50, "backward": 120}


def test_a_pointer_that_is_used_again_is_another_block() -> None:
    steps = [block(1, 100, "aten::mul"), block(1, -100), block(1, 100, "aten::add")]

    assert [(s.path, there) for s, there in follow_allocations(steps).blocks] == [
        (("aten::mul",), False),
        (("aten::add",), True),
    ]
    assert [e.operator for e in find_extras(steps, 100, 25, frozenset({1}))] == ["aten::mul"]


def test_a_copy_is_named_after_what_the_code_called() -> None:
    """contiguous calls clone, which calls copy_; a composite operator that casts within is a cast by its `to`."""
    copy = TensorCopy((4, 4), "float32", "float32", 4)
    cast = TensorCopy((4, 4), "float32", "float64", 8)
    steps = [
        TraceStep("forward", ("aten::contiguous", "aten::clone", "aten::copy_"), copy=copy),
        TraceStep("forward", ("aten::rms_norm", "aten::to", "aten::_to_copy", "aten::copy_"), copy=cast),
        TraceStep("forward", ("aten::copy_",), copy=copy),
        TraceStep(
            "backward", ("autograd::engine::evaluate_function: MulBackward0", "MulBackward0", "aten::mul"), 64, 1
        ),
    ]

    found = {e.operator: (e.kind, e.bytes, e.full) for e in find_extras(steps, 64, 16)}

    assert found == {
        "aten::contiguous": (COPY, 64, True), "aten::to": (CAST, 128, True), "aten::copy_": (COPY, 64, True),
        "aten::mul": (TEMPORARY, 64, True),
    }  # fmt: skip


def test_equal_extras_are_counted() -> None:
    steps = [TraceStep("forward", ("aten::clone", "aten::copy_"), copy=TensorCopy((8,), "float32", "float32", 4))] * 3

    [one] = find_extras(steps, 32, 8)

    assert one.count == 3
    assert str(one) == "copy by aten::clone in forward 3 times (8, 32 bytes)"


def test_copies_of_parameters_are_small() -> None:
    [one] = find_extras(
        [TraceStep("forward", ("aten::clone", "aten::copy_"), copy=TensorCopy((8,), "float32", "float32", 4))], 64, 16
    )

    assert not one.full
    assert MemoryUse("forward", 10, {"y": 10}, 0, (one,)).hidden == ()


def test_only_what_happens_in_a_pass_is_told() -> None:
    def run() -> torch.Tensor:
        outside = torch.ones(64).clone()
        with torch.profiler.record_function(REGION + "forward"):
            return outside + 1.0

    _, steps = profile_call(run)

    assert [(s.part, s.path[0], s.bytes) for s in steps if s.bytes > 8] == [("forward", "aten::add", 256)]


def test_the_limit_is_of_what_must_be_kept() -> None:
    found = MemoryUse("both", 250, {"y": 100, "dx": 100})

    assert found.ratio == 1.25
    assert judge_memory(found, 1.25).verdict == WITHIN
    assert judge_memory(found, 1.2).verdict == MORE


def test_a_verdict_names_the_largest_extra() -> None:
    said = judge_memory(measured(clones), 1.5)

    assert said.verdict == MORE
    assert said.reason == (
        "forward holds 196864 bytes at once, 2.00 times the 98560 that must be kept (1.5 allowed); the largest extra: "
        "copy by aten::clone in forward (32x768, 98304 bytes)"
    )


@pytest.mark.parametrize("limit", [0.9, 0.0, -1.0, float("nan")])
def test_a_limit_that_nothing_can_hold_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="give 1 or more"):
        judge_memory(MemoryUse("forward", 1, {"y": 1}), limit)


def test_a_normalizer_without_mean_keeps_one_statistic() -> None:
    found = subject(Implementation("rms_norm", "torch.nn.functional:rms_norm"))
    case = case_of(found, SpeedQuestion(SETS, N, "both"))

    assert required_bytes(found, case, "forward") == {"y": X, "scale": 4 * SETS}
    assert required_bytes(found, case, "both", CUDA_BLOCK)["scale"] == CUDA_BLOCK


class FakeCuda:
    """Counts as torch.cuda does; nothing here has met a real device."""

    def __init__(self) -> None:
        self.now, self.most, self.synchronized = 1000, 5000, 0

    def synchronize(self, device: str) -> None:
        self.synchronized += 1

    def reset_peak_memory_stats(self, device: str) -> None:
        self.most = self.now

    def memory_allocated(self, device: str) -> int:
        return self.now

    def max_memory_allocated(self, device: str) -> int:
        return self.most

    def allocate(self, size: int) -> None:
        self.now += size
        self.most = max(self.most, self.now)


def test_a_devices_peak_is_above_what_it_held_before() -> None:
    cuda = FakeCuda()

    def run() -> None:
        cuda.allocate(700)
        cuda.allocate(-600)

    assert Cuda("cuda:0", cuda).peak(run) == 700
    assert cuda.synchronized == 2


def test_a_device_that_counts_its_memory_is_believed() -> None:
    class Counting(Host):
        def peak(self, run: Callable[[], Any], /) -> int:
            return 12345

    found = subject(Implementation("layer_norm", "torch.nn.functional:layer_norm"))
    case = case_of(found, SpeedQuestion(SETS, N, "forward"))

    assert measure_memory(found, case, "forward", Counting()).peak == 12345
