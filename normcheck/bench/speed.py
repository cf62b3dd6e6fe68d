"""Speed of one implementation: arms, verdict, the machine's limits, and the entries of the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypeGuard

import numpy as np

from normcheck.bench import bandwidth, limits
from normcheck.bench.baselines import DESCRIPTIONS, NAMES, available_baselines
from normcheck.bench.ceilings import bandwidth_curve
from normcheck.bench.device import Device
from normcheck.bench.grid import SpeedQuestion
from normcheck.bench.growth import QUADRATIC
from normcheck.bench.limits import ROWS, WIDTHS, SpeedLimits
from normcheck.bench.pairs import INCONCLUSIVE, SLOWER, Arm, Budget, PairedTiming, Ratio, compare
from normcheck.bench.timing import SAVED, RefusedError, SavedCalls, TimedArm, make_arms, validate
from normcheck.bench.torch_device import CPU, HOST, threads
from normcheck.bench.traffic import BACKWARD, traffic
from normcheck.core.errors import CallError
from normcheck.core.foreign_code import quiet
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import gradients_within, output_within, truth_of
from normcheck.normalizers.sampling.recipes import Draw, values
from normcheck.normalizers.subject import Answer, Subject

__all__ = ["QUADRATIC", "SLOWER", "RefusedError"]

REQUIRED_CHECKS = ("value", "finite", "input-gradient", "parameter-gradients")
"""Checks that must pass before anything is timed."""

TABLE_CALLS, TABLE_SECONDS = 100, 2.0
"""Calls for the table of pytest-benchmark: at most so many, enough for its quantiles, and fewer if they would take
longer than this."""

LARGE_INPUT = 1 << 22
"""Entries of an input from which on only `FEW_SAVED` calls are kept for validation, to limit memory."""

FEW_SAVED = 2
"""The first call and the latest."""

WIDTH, GROWTH_SIZES = "width", ("width", "rows")
"""The sizes over which growth is measured: entries that share a statistic, or the number of sets of them."""

FIXED_ROWS, FIXED_WIDTH = 16, 768
"""Rows at which growth with width is measured, and width at which growth with rows is: those of a small batch and of
a common model."""

GROWTH_SECONDS = 6.0
"""Time of one sweep over the sizes of a growth: shorter than by default, as a run measures several."""


@dataclass(frozen=True, slots=True)
class SpeedSetting:
    """The options of a run. slowdown, memory: limits; None: measured without a verdict.

    baselines: names; the first that is available is the one that `slowdown` applies to.
    """

    slowdown: float | None = None
    memory: float | None = None
    device: Device = HOST
    baselines: tuple[str, ...] = NAMES[:2]
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class SpeedResult:
    """The result of one question. further: ratios over the other baselines; unavailable: reasons, by baseline."""

    question: SpeedQuestion
    measured: PairedTiming
    baseline: str
    limits: SpeedLimits
    setting: SpeedSetting
    further: Mapping[str, Ratio]
    unavailable: Mapping[str, str]


def can_be_timed(found: object) -> TypeGuard[Subject]:
    """Whether a bound implementation is of the family that has baselines."""
    return isinstance(found, Subject)


def case_of(found: Subject, question: SpeedQuestion) -> Case:
    """A case of that shape with ordinary data: standard normal, without hard rows, as in a network.

    Raises `CallError` for a format or sizes that the subject does not accept.
    """
    if question.format not in found.domain.formats:
        raise CallError(f"{found.name} takes no {question.format}")
    if found.domain.sizes is not None:
        raise CallError(f"{found.name} has one size: name its class, so that it can be timed at others")
    draw = Draw(n=question.n, sets=question.sets, rank=found.domain.ranks[0], format=question.format)
    case = values(found.normalizer, draw)
    x = np.random.default_rng(0).standard_normal(case.x.shape)
    return case.but(x=case.format.round(x))


def within_bounds(found: Subject, case: Case, answer: Answer) -> bool:
    """Whether an output, and the gradients if there are any, are within the error bounds of correct ones."""
    truth = truth_of(found, case)
    if not output_within(found, truth, answer.y, "timed").holds:
        return False
    return answer.dx is None or all(one.holds for one in gradients_within(found, truth, answer, "timed"))


def measure_speed(
    found: Subject,
    question: SpeedQuestion,
    setting: SpeedSetting = SpeedSetting(),  # a frozen value
) -> SpeedResult:
    """Time a subject beside its baselines, and compare its shortest time and its memory with the machine's limits.

    Raises `CallError` if it cannot be timed, `RefusedError` if its time would mean nothing.
    """
    with quiet():
        case = case_of(found, question)
        others, unavailable = available_baselines(found, case, setting.baselines)
        if not others:
            raise CallError(f"no baseline is available for {found.name}: {'; '.join(unavailable.values())}")
        baseline, *further = others
        subjects = [found, others[baseline], others[baseline], *(others[name] for name in further)]
        saved = SAVED if case.x.size < LARGE_INPUT else FEW_SAVED
        kept = [SavedCalls(saved), *(SavedCalls(0) for _ in subjects[1:])]
        make = make_arms(subjects, case, question, setting.device, kept)
        measured = compare(make, setting.slowdown, setting.budget, setting.device.clock)
        validate(kept[0], found, case, lambda of, answer: within_bounds(found, of, answer))
        found_limits = limits.measure_limits(
            found, case, question.part, measured.seconds, setting.memory, device=setting.device, cold=question.cold,
        )  # fmt: skip
    measured = _without_impossible_verdict(measured, found_limits)
    ratios = dict(zip(further, measured.further, strict=True))
    return SpeedResult(question, measured, baseline, found_limits, setting, ratios, unavailable)


def _without_impossible_verdict(measured: PairedTiming, found: SpeedLimits) -> PairedTiming:
    """Inconclusive if the time is shorter than memory can be moved in."""
    if found.share.verdict != bandwidth.MEASUREMENT_ERROR:
        return measured
    return replace(measured, verdict=INCONCLUSIVE, reason=f"measurement error: {found.share.reason}")


def save_benchmark(benchmark: Any, found: Subject, result: SpeedResult) -> None:
    """Time the subject once more through the fixture of pytest-benchmark, which shows, saves and compares the result.

    The benchmark is named by the target, its ratio and its share of the bandwidth, and grouped by the question.
    """
    question, device = result.question, result.setting.device
    benchmark.group = str(question)
    benchmark.name = f"{found.name}  {_ratio_and_share(result)}"
    benchmark.extra_info.update(record(result) | {"kind": found.normalizer.name, "target": found.name})
    timed = TimedArm(found, case_of(found, question), question, device)

    def prepare() -> tuple[tuple[Any], dict[str, Any]]:
        prepared = timed.prepare()
        if question.cold:
            device.evict()
        device.clock()
        return (prepared,), {}

    def run(prepared: Any) -> None:
        timed.run(prepared)
        device.clock()

    with quiet():
        calls = max(3, min(TABLE_CALLS, int(TABLE_SECONDS / max(result.measured.seconds, 1e-6))))
        benchmark.pedantic(run, setup=prepare, rounds=calls, warmup_rounds=3)


def record(result: SpeedResult) -> dict[str, Any]:
    """One entry of the list `speed` in the run's record, as `schema.json` describes it; times in seconds."""
    question, setting = result.question, result.setting
    return {
        "sets": question.sets, "n": question.n, "pass": question.part, "format": question.format,
        "cache": "cold" if question.cold else "warm",
        "device": setting.device.name, "threads": threads(),
        "baseline": result.baseline, "limit": setting.slowdown, **result.measured.record(),
        "beside": {name: ratio.record() for name, ratio in result.further.items()},
        "absent": dict(result.unavailable), **limits.entry(result.limits),
    }  # fmt: skip


def _ratio_and_share(result: SpeedResult) -> str:
    share = f", {100.0 * result.limits.share.value:.0f} % of {result.limits.share.level}"
    return f"{result.measured.ratio.value:.2f} x {result.baseline}{share}"


def describe(result: SpeedResult) -> str:
    """The result in a sentence."""
    measured = result.measured
    r = measured.ratio
    why = f" ({measured.reason})" if measured.reason else ""
    return (
        f"{result.question}: {r.value:.2f} times {DESCRIPTIONS[result.baseline]}, [{r.low:.2f}, {r.high:.2f}] from "
        f"{r.repetitions} repetitions, {1e6 * measured.seconds:.0f} us, {limits.describe(result.limits)}: "
        f"{measured.verdict}{why}"
    )


def measure_growth(found: Subject, part: str, over: str, setting: SpeedSetting = SpeedSetting()) -> dict[str, Any]:
    """How time and peak memory grow with one size: an entry of the list `growth`, as `schema.json` describes it.

    over: "rows" or "width". The key `floor` has the seconds in which memory can move the least traffic at each size.
    Raises `CallError` if the subject cannot be timed.
    """

    def question(size: int) -> SpeedQuestion:
        return SpeedQuestion(FIXED_ROWS, size, part) if over == WIDTH else SpeedQuestion(size, FIXED_WIDTH, part)

    @cache
    def case(size: int) -> Case:
        return case_of(found, question(size))

    def make(size: int) -> Arm:
        return TimedArm(found, case(size), question(size), setting.device)

    time = limits.time_growth(make, WIDTHS if over == WIDTH else ROWS, seconds=GROWTH_SECONDS)
    counted = setting.device.name == CPU and part != BACKWARD and over == WIDTH
    peaks = limits.memory_growth(found, case, part) if counted else None
    curve, through = bandwidth_curve(setting.device), found.contract.through
    least = [traffic(found.normalizer, case(n), part, through).bytes for n in time.sizes]
    return {
        "over": over, "fixed": FIXED_ROWS if over == WIDTH else FIXED_WIDTH, "pass": part,
        "format": question(1).format, "device": setting.device.name, "time": time.record(),
        "memory": None if peaks is None else peaks.record(), "floor": [size / curve.at(size).rate for size in least],
    }  # fmt: skip
