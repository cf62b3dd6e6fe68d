"""The question of speed as a whole: arms, verdict, the machine's limits, and what the record keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from normcheck.bench import bandwidth, limits
from normcheck.bench.baselines import NAMES, WORDS, beside
from normcheck.bench.ceilings import machine
from normcheck.bench.device import CPU, HOST, Device
from normcheck.bench.grid import SpeedQuestion
from normcheck.bench.growth import QUADRATIC
from normcheck.bench.limits import ROWS, WIDTHS, SpeedLimits
from normcheck.bench.pairs import INCONCLUSIVE, SLOWER, Arm, Budget, Measured, Ratio, compare
from normcheck.bench.timing import Kept, RefusedError, Timed, arms, validate
from normcheck.bench.traffic import BACKWARD, traffic
from normcheck.core.errors import CallError
from normcheck.core.foreign_code import quiet
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import gradients_within, output_within, truth_of
from normcheck.normalizers.sampling.recipes import Draw, values
from normcheck.normalizers.subject import Answer, Subject

__all__ = ["QUADRATIC", "SLOWER", "RefusedError"]

FIRST = ("value", "finite", "input-gradient", "parameter-gradients")
"""Checks that must hold before anything is timed."""

CALLS = 100
"""In the table of pytest-benchmark."""

HEAVY = 1 << 22
"""Entries of an input of which few outputs are kept for validation."""

WIDTH, OVER = "width", ("width", "rows")
"""With what growth is asked: entries that share a statistic, or how many sets of them there are."""

GROWN_ROWS, GROWN_WIDTH = 16, 768
"""Rows at which growth with width is measured, and width at which growth with rows is."""

GROWTH_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class SpeedSetting:
    """What a run asks. slowdown, memory: limits; None: measured and not judged. beside: baselines, the first judges."""

    slowdown: float | None = None
    memory: float | None = None
    device: Device = HOST
    beside: tuple[str, ...] = NAMES[:2]
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class Result:
    """What one question came to. beside: ratios over the further baselines; absent: why others are not there."""

    question: SpeedQuestion
    measured: Measured
    baseline: str
    limits: SpeedLimits
    setting: SpeedSetting
    beside: Mapping[str, Ratio]
    absent: Mapping[str, str]


def case_of(found: Subject, question: SpeedQuestion) -> Case:
    """Ordinary data of that shape: of unit scale, no hard rows, as a kernel meets it in a network.

    Raises `CallError` for a format or sizes that the subject does not take.
    """
    if question.format not in found.domain.formats:
        raise CallError(f"{found.name} takes no {question.format}")
    if found.domain.sizes is not None:
        raise CallError(f"{found.name} has one size: name its class, so that it can be timed at others")
    draw = Draw(n=question.n, sets=question.sets, rank=found.domain.ranks[0], format=question.format)
    case = values(found.normalizer, draw)
    x = np.random.default_rng(0).standard_normal(case.x.shape)
    return case.but(x=case.format.round(x))


def right(found: Subject, case: Case, answer: Answer) -> bool:
    """Whether an output, and gradients where there are any, are within the bounds of correct ones."""
    truth = truth_of(found, case)
    if not output_within(found, truth, answer.y, "timed").holds:
        return False
    return answer.dx is None or all(one.holds for one in gradients_within(found, truth, answer, "timed"))


def measure(
    found: Subject, question: SpeedQuestion, setting: SpeedSetting = SpeedSetting()
) -> Result:  # a frozen value
    """Time a subject beside its baselines, and hold its best time and its memory against the machine.

    Raises `CallError` where there is nothing to time, `RefusedError` where the time would mean nothing.
    """
    with quiet():
        case = case_of(found, question)
        others, absent = beside(found, case, setting.beside)
        if not others:
            raise CallError(f"there is nothing to time {found.name} beside: {'; '.join(absent.values())}")
        baseline, *further = others
        subjects = [found, others[baseline], others[baseline], *(others[name] for name in further)]
        kept = [Kept(6 if case.x.size < HEAVY else 2), *(Kept(0) for _ in subjects[1:])]
        make = arms(subjects, case, question, setting.device, kept)
        measured = compare(make, setting.slowdown, setting.budget, setting.device.clock)
        validate(kept[0], found, case, lambda of, answer: right(found, of, answer))
        held = limits.measure(found, case, question.part, measured.seconds, setting.memory, device=setting.device,
                              cold=question.cold)  # fmt: skip
    measured = _possible(measured, held)
    return Result(question, measured, baseline, held, setting, dict(zip(further, measured.beside, strict=True)), absent)


def _possible(measured: Measured, held: SpeedLimits) -> Measured:
    """No verdict from a time in which memory cannot be moved."""
    if held.share.verdict != bandwidth.ERROR:
        return measured
    return replace(measured, verdict=INCONCLUSIVE, reason=f"measurement error: {held.share.reason}")


def table(benchmark: Any, found: Subject, result: Result) -> None:
    """Time the subject once more through the fixture of pytest-benchmark, so that it can be saved and compared.

    Named by its target, its ratio and its share of the bandwidth; grouped by the question.
    """
    question, device = result.question, result.setting.device
    benchmark.group = str(question)
    benchmark.name = f"{found.name}  {_short(result)}"
    benchmark.extra_info.update(record(result) | {"kind": found.normalizer.name, "target": found.name})
    timed = Timed(found, case_of(found, question), question, device)

    def ready() -> tuple[tuple[Any], dict[str, Any]]:
        out = timed.ready()
        if question.cold:
            device.evict()
        device.clock()
        return (out,), {}

    def run(one: Any) -> None:
        timed.run(one)
        device.clock()

    with quiet():
        calls = max(3, min(CALLS, int(2.0 / max(result.measured.seconds, 1e-6))))
        benchmark.pedantic(run, setup=ready, rounds=calls, warmup_rounds=3)


def record(result: Result) -> dict[str, Any]:
    """One entry of the list `speed` in the run's record, as `schema.json` describes it; times in seconds."""
    question, setting = result.question, result.setting
    return {
        "sets": question.sets, "n": question.n, "pass": question.part, "format": question.format,
        "cache": "cold" if question.cold else "warm",
        "device": setting.device.name, "threads": torch.get_num_threads(),
        "baseline": result.baseline, "limit": setting.slowdown, **result.measured.record(),
        "beside": {name: ratio.record() for name, ratio in result.beside.items()}, "absent": dict(result.absent),
        **limits.entry(result.limits),
    }  # fmt: skip


def _short(result: Result) -> str:
    share = f", {100.0 * result.limits.share.value:.0f} % of {result.limits.share.level}"
    return f"{result.measured.ratio.value:.2f} x {result.baseline}{share}"


def said(result: Result) -> str:
    """The result in a sentence."""
    measured = result.measured
    r = measured.ratio
    why = f" ({measured.reason})" if measured.reason else ""
    return (
        f"{result.question}: {r.value:.2f} times {WORDS[result.baseline]}, [{r.low:.2f}, {r.high:.2f}] from "
        f"{r.repetitions} repetitions, {1e6 * measured.seconds:.0f} us, {limits.said(result.limits)}: "
        f"{measured.verdict}{why}"
    )


def grow(found: Subject, part: str, over: str, setting: SpeedSetting = SpeedSetting()) -> dict[str, Any]:
    """How time and peak memory grow with one size: an entry of the list `growth`, as `schema.json` describes it.

    over: "rows" or "width". floor: the seconds in which memory can move the least traffic at each size.
    Raises `CallError` where there is nothing to time.
    """

    def question(size: int) -> SpeedQuestion:
        return SpeedQuestion(GROWN_ROWS, size, part) if over == WIDTH else SpeedQuestion(size, GROWN_WIDTH, part)

    @cache
    def case(size: int) -> Case:
        return case_of(found, question(size))

    def make(size: int) -> Arm:
        return Timed(found, case(size), question(size), setting.device)

    time = limits.grow(make, WIDTHS if over == WIDTH else ROWS, seconds=GROWTH_SECONDS)
    counted = setting.device.name == CPU and part != BACKWARD and over == WIDTH
    peaks = limits.grow_memory(found, case, part) if counted else None
    curve, through = machine(setting.device), found.contract.through
    least = [traffic(found.normalizer, case(n), part, through).bytes for n in time.sizes]
    return {
        "over": over, "fixed": GROWN_ROWS if over == WIDTH else GROWN_WIDTH, "pass": part, "format": "float32",
        "device": setting.device.name, "time": time.record(), "memory": None if peaks is None else peaks.record(),
        "floor": [size / curve.at(size).rate for size in least],
    }  # fmt: skip
