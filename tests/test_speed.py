"""Cheats are refused by name, and honest code is timed: nothing here depends on how long anything takes."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from normcheck import families
from normcheck.bench import limits, speed
from normcheck.bench.bandwidth import MEASUREMENT_ERROR
from normcheck.bench.grid import SpeedQuestion
from normcheck.bench.pairs import Budget
from normcheck.bench.speed import (
    GROWTH_SIZES,
    SpeedSetting,
    case_of,
    measure_growth,
    measure_speed,
    record,
    within_bounds,
)
from normcheck.bench.timing import RefusedError, SavedCalls, TimedArm, make_arms, validate
from normcheck.bench.torch_device import HOST
from normcheck.bench.traffic import PASSES
from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError
from normcheck.core.floats import FORMATS
from normcheck.families import bind as subject
from normcheck.normalizers import catalog, faults

FEW = SpeedSetting(slowdown=100.0, budget=Budget(seconds=0.05, rounds=3, precision=9.0))
HERE = Path(__file__).parent / "user_code" / "cheats" / "cheats.py"
HONEST = subject(Implementation("layer_norm", "torch.nn.functional:layer_norm"))
SMALL = SpeedQuestion(4, 64, "forward")
SCHEMA = json.loads((files("normcheck") / "report" / "schema.json").read_text())


def timed_and_validated(arm: TimedArm, calls: int = 40) -> int:
    for _ in range(calls):
        arm()
    return validate(arm.kept, arm.subject, arm.case, lambda case, answer: within_bounds(arm.subject, case, answer))


def timed(found: Any = HONEST, question: SpeedQuestion = SMALL, device: Any = HOST) -> TimedArm:
    return TimedArm(found, case_of(found, question), question, device)


@pytest.fixture
def cheats(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(time, "perf_counter", time.perf_counter)  # put back after a cheat
    spec = importlib.util.spec_from_file_location("nc_cheats", HERE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("cheat", "name", "part"),
    [
        ("replay", "replay", "forward"), ("later", "wrong-when-timed", "forward"),
        ("thread", "background-thread", "forward"), ("lazy", "lazy-output", "forward"),
        ("overwrites", "input-overwritten", "forward"), ("patches", "timer-patched", "forward"),
        ("unwritten", "unwritten-output", "forward"), ("stale_gradient", "replay", "backward"),
        ("stale_gradient", "replay", "both"),
    ],
)  # fmt: skip
def test_a_cheat_is_refused_by_name(cheats: ModuleType, cheat: str, name: str, part: str) -> None:
    """Bound as honest code is, its function then exchanged for the cheat, so that only timing can refuse it."""
    function = getattr(cheats, cheat)
    turned = [False]

    def mine(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        given = function if turned[0] else torch.nn.functional.layer_norm
        return given(x, normalized_shape, weight, bias, eps)

    found = subject(Implementation("layer_norm", mine))
    arm = timed(found, SpeedQuestion(4, 64, part))
    turned[0] = True

    with pytest.raises(RefusedError, match=rf"^{name}: "):
        timed_and_validated(arm)


class Liar(torch.autograd.Function):
    """The right output, and whatever gradients are asked for."""

    @staticmethod
    def forward(ctx, x, normalized_shape, weight, bias, eps, lie):
        ctx.lie, ctx.sizes = lie, (x.shape, weight.shape, bias.shape)
        return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)

    @staticmethod
    def backward(ctx, dy):
        own = dy if ctx.lie == "identity" else torch.full_like(dy, LIES[ctx.lie])
        weight, bias = (own.reshape(-1)[: size.numel()].reshape(size).clone() for size in ctx.sizes[1:])
        return own, None, weight, bias, None, None


LIES = {"zeros": 0.0, "ones": 1.0, "nan": float("nan"), "identity": 0.0}


@pytest.mark.parametrize("part", PASSES)
@pytest.mark.parametrize("lie", LIES)
def test_a_liar_is_refused(lie: str, part: str) -> None:
    """Right when it was checked; zeros, ones, NaN or its input when timed."""
    turned = [False]

    def mine(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        if not turned[0]:
            return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)
        if part != "forward":
            return Liar.apply(x, normalized_shape, weight, bias, eps, lie)
        return x.clone() if lie == "identity" else torch.full_like(x, LIES[lie])

    arm = timed(subject(Implementation("layer_norm", mine)), SpeedQuestion(4, 64, part))
    turned[0] = True

    with pytest.raises(RefusedError, match="unwritten-output: " if lie == "nan" else "wrong-when-timed: "):
        timed_and_validated(arm)


@pytest.mark.parametrize("part", PASSES)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("target", ["torch.nn:LayerNorm", "torch.nn.functional:layer_norm"])
def test_right_code_is_not_refused(target: str, format: str, part: str) -> None:
    timed_and_validated(timed(subject(Implementation("layer_norm", target)), SpeedQuestion(4, 64, part, format)))


@pytest.mark.parametrize("part", PASSES)
def test_honest_code_is_timed(part: str) -> None:
    found = measure_speed(HONEST, SpeedQuestion(7, 64, part), FEW)

    assert found.measured.ratio.repetitions >= FEW.budget.least
    assert (found.baseline, set(found.further)) == ("fused", {"eager"})
    jsonschema.validate(record(found), {"$defs": SCHEMA["$defs"], "$ref": "#/$defs/speed"})


TARGETS = {
    kind: Implementation(kind, target)
    for kind, target in (
        ("batch_norm", "torch.nn:BatchNorm1d"), ("layer_norm", "torch.nn:LayerNorm"), ("rms_norm", "torch.nn:RMSNorm"),
        ("group_norm", "torch.nn:GroupNorm"), ("instance_norm", "torch.nn:InstanceNorm1d"),
        ("weight_norm", "torch:_weight_norm"),
        ("partial_rms_norm", "normcheck.implementations.partial_rms_norm:partial_rms_norm"),
        ("mean_only_batch_norm", "normcheck.implementations.mean_only_batch_norm:mean_only_batch_norm"),
    )
}  # fmt: skip


@pytest.mark.parametrize("kind", catalog.ALL)
def test_every_kind_is_timed(kind: str) -> None:
    """Those of which torch has no function beside its eager composition."""
    found = measure_speed(subject(TARGETS[kind]), SpeedQuestion(4, 16, "both"), FEW)

    assert found.measured.seconds > 0.0
    assert found.baseline in ("fused", "eager")


def test_numpy_is_not_timed() -> None:
    with pytest.raises(CallError, match="does not take torch tensors, so it is not timed"):
        timed(faults.subject(families.get("layer_norm"), None))


def test_threads_of_a_compiler_are_no_cheat() -> None:
    """What starts in the first calls and stays is a pool."""
    pool: list[threading.Thread] = []
    ended = threading.Event()

    def compiles(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        if not pool:
            pool.append(threading.Thread(target=ended.wait, daemon=True))
            pool[0].start()
        return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)

    found = subject(Implementation("layer_norm", compiles))
    ended.set()
    pool.clear()
    ended.clear()
    arm = timed(found)
    for _ in range(10):
        arm()
    ended.set()

    assert len(pool) == 1


def test_no_two_calls_have_the_same_content() -> None:
    """Neither inputs nor output gradients: a bias's is a sum of these alone."""
    arm = timed(question=SpeedQuestion(4, 64, "both"))
    for made in zip(*(contents(arm) for _ in range(10)), strict=True):
        assert not any(torch.equal(a, b) for i, a in enumerate(made) for b in made[:i])


def contents(arm: TimedArm) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = arm.prepare().inputs
    assert inputs.dy is not None
    return inputs.x, inputs.dy


def test_nobody_can_foresee_the_content() -> None:
    one, other = (contents(timed(question=SpeedQuestion(4, 64, "both"))) for _ in range(2))

    assert not torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])


def test_outputs_of_timed_calls_are_validated() -> None:
    """The first, the latest, and some between; never more than are wanted."""
    arm = timed()

    assert timed_and_validated(arm, 200) == len(arm.kept.found)
    assert 2 <= len(arm.kept.found) <= arm.kept.most


def test_of_a_baseline_nothing_is_kept() -> None:
    kept = SavedCalls(0)

    assert not any(kept.wants() for _ in range(100))


def test_a_cold_call_finds_nothing_in_the_caches() -> None:
    class RecordingDevice:
        name, evicted = "cpu", 0

        def elapsed(self, run: Any) -> Any:
            return HOST.elapsed(run)

        def evict(self) -> None:
            self.evicted += 1

    device = RecordingDevice()
    timed(question=SpeedQuestion(4, 64, "forward", cold=True), device=device)()
    timed(question=SMALL, device=device)()

    assert device.evicted == 1


def test_arms_of_a_repetition_are_made_in_any_order() -> None:
    """No arm is always the first in memory."""
    firsts = set()

    class Listens(SavedCalls):
        def wants(self) -> bool:
            order.append(self)
            return False

    for seed in range(12):
        order: list[Any] = []
        kept = [Listens(), Listens(), Listens()]
        make_arms([HONEST] * 3, case_of(HONEST, SMALL), SMALL, HOST, kept)(np.random.default_rng(seed))
        firsts.add(next(i for i, one in enumerate(kept) if one is order[0]))

    assert firsts == {0, 1, 2}


def test_a_time_in_which_memory_cannot_be_moved_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    share = limits.bandwidth_share
    monkeypatch.setattr(
        limits, "bandwidth_share", lambda *a, **k: replace(share(*a, **k), verdict=MEASUREMENT_ERROR, reason="900 GB/s")
    )
    found = measure_speed(HONEST, SMALL, FEW).measured

    assert (found.verdict, found.reason) == ("inconclusive", "measurement error: 900 GB/s")


SLOW = """
import torch

def slow(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    for _ in range(10):
        y = torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)
    return y

def copies(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x.clone(), normalized_shape, weight, bias, eps)

def wrong(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return x
"""


ROUGH = """
from normcheck.bench import bandwidth, pairs
bandwidth.BUDGET_SECONDS, bandwidth.LARGEST = 0.0, 1 << 24
for name, value in {"seconds": 0.5, "rounds": 10, "least": 3}.items():
    object.__setattr__(pairs.compare.__defaults__[1], name, value)
"""
"""A conftest of a run whose figures nobody reads: few calls are timed, and memory in two rounds, up to 16 MiB."""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)  # else no run in this process is timed
    pytester.makepyfile(mine=SLOW)
    pytester.makeconftest(ROUGH)
    return pytester


def run(project: pytest.Pytester, target: str, question: str, *args: str) -> pytest.RunResult:
    return project.runpytest_subprocess("--norm", f"layer_norm=mine.py:{target}", "-k", question, *args)


ONE, TINY = (f"test_speed and {shape}-float32-forward and not cold" for shape in ("512x768", "1x768"))


def test_speed_is_no_part_of_an_ordinary_run(project: pytest.Pytester) -> None:
    ran = project.runpytest_subprocess("--norm", "layer_norm=mine.py:slow", "--collect-only", "-q")

    ran.stdout.no_fnmatch_line("*test_speed*")


TOLD = """
from torch.utils._python_dispatch import TorchDispatchMode
from normcheck.bench.torch_device import Host

class Count(TorchDispatchMode):
    calls = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.calls += operator.name() == "aten::native_layer_norm"
        return operator(*args, **(kwargs or {}))

def elapsed(self, run):
    with Count() as count:
        returned = run()
    return returned, 1e-3 * max(1, count.calls)  # a composition calls none

Host.elapsed = elapsed
"""
"""A conftest in which a call takes a millisecond for each layer norm of torch in it, so that no noise decides."""


def test_ten_times_as_slow_fails_the_gate_and_is_in_the_record(project: pytest.Pytester) -> None:
    project.makeconftest(ROUGH + TOLD)
    ran = run(project, "slow", TINY, "--norm-max-slowdown", "2", "--norm-json", "out.json")

    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["*1x768-float32-forward: 10.00 times torch's fused function*slower; allowed 2*"])
    ran.stdout.fnmatch_lines(["*1x768 float32 forward*us*########## slower"])
    document = json.loads((project.path / "out.json").read_text())
    jsonschema.validate(document, SCHEMA)
    ratio = document["implementations"][0]["speed"][0]["ratio"]
    assert ratio["low"] == pytest.approx(10.0) == ratio["high"]
    assert document["machine"]["device"] == "cpu"


def test_what_is_wrong_is_not_timed(project: pytest.Pytester) -> None:
    ran = run(project, "wrong", ONE, "--benchmark-only")

    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["*not timed: mine.py:wrong is wrong, see value*"])


def test_the_table_of_pytest_benchmark_is_grouped_by_shape_with_ratio_and_share(project: pytest.Pytester) -> None:
    """And is saved: the next run is held against it, in pytest-benchmark's own storage."""
    ran = run(project, "copies", ONE, "--benchmark-only", "--benchmark-autosave")

    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*benchmark '512x768-float32-forward'*"])
    ran.stdout.re_match_lines([r"^mine.py:copies  \d+\.\d\d x fused, \d+ % of \w+ .*"])
    again = run(project, "copies", ONE, "--norm-max-regression", "50")
    assert again.ret == 0
    again.stdout.re_match_lines([r".*; was \[\d+\.\d\d, \d+\.\d\d\].*"])


def test_a_hidden_copy_fails_the_gate_of_memory_and_is_named(project: pytest.Pytester) -> None:
    ran = run(project, "copies", ONE, "--norm-max-memory", "1.5")

    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["*mine.py:copies: forward holds * bytes at once, * times the * that must be kept*"])
    assert "copy by aten::clone in its forward" in " ".join(ran.stdout.str().split())


def test_nothing_is_timed_beside_other_workers(project: pytest.Pytester) -> None:
    ran = run(project, "slow", ONE, "--norm-max-slowdown", "2", "-n", "2", "-rs")

    assert ran.ret == pytest.ExitCode.TESTS_FAILED  # nothing else was selected, so nothing was compared
    ran.stdout.fnmatch_lines(["*SKIPPED*no timing beside other workers: run without -n"])
    ran.stdout.fnmatch_lines(["Nothing was compared."])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--norm-max-slowdown", "0"), "--norm-max-slowdown 0: nothing can hold it; give a number above 0"),
        (("--norm-max-memory", "0.5"), "--norm-max-memory 0.5: nothing can hold it; give 1 or more"),
        (("--norm-max-slowdown", "2", "--norm-beside", "triton"), "there is no baseline 'triton'"),
        (("--norm-device", "cuda:99"), "--norm-device cuda:99: there is no such CUDA device"),
    ],
)
def test_an_option_that_cannot_be_is_wrong_usage(project: pytest.Pytester, options: tuple[str, ...], said: str) -> None:
    named = ("--norm", "layer_norm=mine.py:slow", "-k", "value")
    ran = project.runpytest_inprocess(*named, "-p", "no:cacheprovider", *options)

    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert said in ran.stderr.str()


@pytest.mark.parametrize("over", GROWTH_SIZES)
def test_growth_is_measured_over_both_sizes(over: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast is not asked here: only that there is an entry, whatever the noise."""
    monkeypatch.setattr(speed, "GROWTH_SECONDS", 0.2)
    monkeypatch.setattr(speed, "WIDTHS", (16, 32, 64, 128, 256, 512))
    monkeypatch.setattr(speed, "ROWS", (1, 2, 4, 8, 16, 32))
    entry = measure_growth(HONEST, "forward", over)

    jsonschema.validate(entry, {"$defs": SCHEMA["$defs"], "$ref": "#/$defs/growth"})
    assert len(entry["floor"]) == len(entry["time"]["sizes"]) == 6
    assert (entry["memory"] is None) == (over == "rows")


def test_a_quadratic_implementation_fails_where_slowness_may(
    monkeypatch: pytest.MonkeyPatch, project: pytest.Pytester
) -> None:
    """Times that are told, so that no noise decides: as the square of the width."""
    project.makeconftest(
        "from normcheck.bench import limits, growth\n"
        "def grow(make, sizes, seconds):\n"
        "    return growth.fit(sizes, [1e-9 * n * n for n in sizes])\n"
        "limits.time_growth = grow\n"
    )
    ran = run(project, "copies", "test_growth and width", "--norm-max-slowdown", "100")

    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["*mine.py:copies: the time of a forward grows as width^2.00 *a normalizer's is linear*"])
    ran.stdout.fnmatch_lines(["*growth*forward takes width^2.00*quadratic*"])
