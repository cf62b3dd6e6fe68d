"""One timed call of an implementation: new content in new storage, and outputs that are validated afterwards.

A call goes through the binding that checks use: a few microseconds of Python, for implementation and baseline alike.
At sizes where these are most of the time, a ratio is nearer to 1 than the ratio of the kernels.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any

import numpy as np

from normcheck.bench.device import Device
from normcheck.bench.grid import SpeedQuestion
from normcheck.bench.pairs import Arm
from normcheck.bench.torch_device import HOST, replaced_clock
from normcheck.bench.torch_pass import CallInputs, InputGenerator, SavedCall, TorchPass, prepared_layer, random_padding
from normcheck.core.errors import CallError
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Subject

_alive: Callable[[], list[threading.Thread]] = threading.enumerate
_join = threading.Thread.join

WARMUP = 3
"""Calls before the first that counts: they compile, allocate and start threads."""

JOIN_SECONDS = 10.0
"""How long a thread that a call left behind is waited for: longer than any call that is timed."""

SAVED = 6
"""Calls of an implementation that are kept for validation: each holds copies of its inputs and outputs."""


class RefusedError(CallError):
    """A call whose time means nothing; the reason begins with the name of the cheat."""


@dataclass(slots=True)
class SavedCalls:
    """Some of the timed calls, kept for validation: the first, the latest, and others at random.

    most: how many at a time; 0 for a baseline, which is not validated.
    """

    most: int = SAVED
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    calls: int = 0
    found: list[SavedCall] = field(default_factory=list)

    def wants(self) -> bool:
        """Whether to keep the call that was just made; the chance falls so that all calls are about equally likely."""
        self.calls += 1
        return self.calls <= min(1, self.most) or self.rng.random() < self.most / self.calls

    def keep(self, saved: SavedCall) -> None:
        """Keep a call. If there are `most` already, the oldest after the first is dropped."""
        self.found = [*self.found[:1], *self.found[1:][2 - self.most :], saved]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedCall:
    """The inputs of the next call, and the threads that were alive before it."""

    inputs: CallInputs
    threads: frozenset[threading.Thread]


@dataclass(frozen=True, slots=True, eq=False)
class CallOutputs:
    """What a call returned, and the threads that it left behind."""

    y: Any
    gradients: tuple[Any, ...]  # of the differentiated leaves
    late: list[threading.Thread]


@dataclass(slots=True)
class TimedArm:
    """An arm that times one pass of a subject on inputs of one case's shape."""

    subject: Subject
    case: Case
    question: SpeedQuestion
    device: Device = HOST
    kept: SavedCalls = field(default_factory=SavedCalls)
    generator: InputGenerator | None = None
    calls: int = 0
    _pass: TorchPass = field(init=False)

    def __post_init__(self) -> None:
        layer = prepared_layer(self.subject, self.case, "it is not timed")
        self._pass = TorchPass(self.subject.name, layer, self.case, self.question.part)
        self.generator = self.generator or InputGenerator(self.case)

    def __call__(self) -> float:
        """Seconds of one call. Raises `RefusedError` for a call whose time means nothing."""
        prepared = self.prepare()
        if self.question.cold:
            self.device.evict()
        outputs, seconds = self.device.elapsed(lambda: self.run(prepared))
        self._refuse_cheats(prepared.inputs, outputs)
        if self.kept.wants():
            self.kept.keep(self._pass.saved(prepared.inputs, outputs.y, outputs.gradients))
        return seconds

    def prepare(self) -> PreparedCall:
        """The inputs of the next call, made outside the timed part."""
        assert self.generator is not None
        self.calls += 1
        threads = frozenset(_alive())
        return PreparedCall(self._pass.inputs(self.generator), threads)

    def run(self, prepared: PreparedCall) -> CallOutputs:
        """The timed part: the pass, and the wait for the threads that it left behind."""
        y, gradients = self._pass.run(prepared.inputs)
        warm = self.calls > WARMUP  # compilers and pools start threads that stay
        late = [thread for thread in _alive() if warm and thread not in prepared.threads]
        for thread in late:
            _join(thread, JOIN_SECONDS)
        return CallOutputs(y, gradients, late)

    def _refuse_cheats(self, inputs: CallInputs, outputs: CallOutputs) -> None:
        """Raise `RefusedError` for a call that worked elsewhere or later, or changed what it does not own."""
        name = self.subject.name
        if outputs.late:
            raise RefusedError(f"background-thread: {name} left a thread behind that works after it has returned")
        reason = self._pass.refusal(inputs, outputs.y)
        if reason:
            raise RefusedError(reason)
        clock = replaced_clock()
        if clock:
            raise RefusedError(f"timer-patched: {name} replaced {clock}")


def make_arms(
    subjects: Sequence[Subject], case: Case, question: SpeedQuestion, device: Device, kept: Sequence[SavedCalls]
) -> Callable[[np.random.Generator], list[Arm]]:
    """A function that makes the arms of a repetition, one for each subject, and warms them up.

    They are made in random order and with random padding between them, so that no arm always has the same addresses.
    """
    warmup = chain((WARMUP,), repeat(1))  # what was compiled once stays compiled

    def make(rng: np.random.Generator) -> list[Arm]:
        made: dict[int, TimedArm] = {}
        generator = InputGenerator(case)
        padding = []
        for index in map(int, rng.permutation(len(subjects))):
            padding.append(random_padding(rng))
            made[index] = TimedArm(subjects[index], case, question, device, kept[index], generator)
        for _ in range(next(warmup)):
            for arm in made.values():
                arm()
        return [made[index] for index in range(len(subjects))]

    return make


def validate(timed: SavedCalls, found: Subject, case: Case, holds: Callable[[Case, Answer], bool]) -> int:
    """Check outputs and gradients of the kept calls, and return their number. Raises `RefusedError` for a wrong one.

    case: all calls have its shape. holds: whether an answer is correct for a case. A replay is recognized by an
    answer that is correct for the case of another call.
    """
    name, wanted = found.name, case.format.name
    for saved in timed.found:
        answer = saved.answer()
        if answer.format != wanted:
            raise RefusedError(f"wrong-when-timed: {name} returned {answer.format}, not {wanted}")
        if holds(saved.case(case), answer):
            continue
        arrays = (answer.y, answer.dx, answer.dweight, answer.dbias)
        if not all(np.isfinite(one).all() for one in arrays if one is not None):
            raise RefusedError(f"unwritten-output: {name} returned memory that it did not write")
        if any(_is_replay(answer, saved, other, case, holds) for other in timed.found if other is not saved):
            raise RefusedError(f"replay: {name} returned the answer of another call")
        raise RefusedError(f"wrong-when-timed: {name} returned a wrong answer from a call that was timed")
    return len(timed.found)


def _is_replay(
    answer: Answer, saved: SavedCall, other: SavedCall, case: Case, holds: Callable[[Case, Answer], bool]
) -> bool:
    """Whether an answer, or its gradients alone, are those of another call."""
    if holds(other.case(case), answer):
        return True
    return saved.dy is not None and holds(other.case(case), replace(answer, y=other.answer().y))
