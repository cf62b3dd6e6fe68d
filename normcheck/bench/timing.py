"""One timed call of an implementation: fresh content in fresh storage, and an output that is looked at afterwards.

The call goes through the binding that checks use, a few microseconds of Python for implementation and baseline alike;
at sizes where that is most of the time a ratio is nearer to 1 than that of the kernels alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch

from normcheck.bench.device import HOST, Device, tampered
from normcheck.bench.grid import SpeedQuestion
from normcheck.bench.pairs import Arm
from normcheck.bench.traffic import BACKWARD, FORWARD
from normcheck.core.errors import CallError
from normcheck.frameworks.torch.layer import PreparedLayer
from normcheck.frameworks.torch.tensors import NAMES, array, output, tensor
from normcheck.frameworks.torch.uses import TorchCall
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Subject

_alive: Callable[[], list[threading.Thread]] = threading.enumerate
_join = threading.Thread.join
_tensor = torch.Tensor

WARM = 3
"""Calls before the first that counts: they compile, allocate and start threads."""

PADDING = 1 << 15
"""Bytes at most between the storage of two arms: where they come to lie is drawn anew for each repetition."""


class RefusedError(CallError):
    """A call whose time means nothing; the reason begins with the name of the cheat."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One call as it was: what it worked on, and copies of what it returned, made at once."""

    x: torch.Tensor
    dy: torch.Tensor | None
    y: torch.Tensor
    gradients: tuple[torch.Tensor | None, ...]  # of input, weight and bias

    def case(self, like: Case) -> Case:
        """The case that the call answered. like: one of the same shape."""
        return like.but(x=array(self.x)) if self.dy is None else like.but(x=array(self.x), dy=array(self.dy))

    def answer(self) -> Answer:
        """What it returned; of a forward, no gradients."""
        dx, dweight, dbias = (None if one is None else array(one) for one in self.gradients)
        return Answer(array(self.y), NAMES.get(self.y.dtype, str(self.y.dtype)), dx, dweight, dbias)


@dataclass(slots=True)
class Kept:
    """Some calls, to be validated after timing: the first, the latest, others by chance.

    most: as many at a time; none of a baseline's, which nobody doubts.
    """

    most: int = 6
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    calls: int = 0
    found: list[Made] = field(default_factory=list)

    def wants(self) -> bool:
        """Whether the call that was just made is to be kept: every one with the same chance to stay, about."""
        self.calls += 1
        return self.calls <= min(1, self.most) or self.rng.random() < self.most / self.calls

    def keep(self, made: Made) -> None:
        self.found = [*self.found[:1], *self.found[1:][2 - self.most :], made]


@dataclass(slots=True)
class Contents:
    """Inputs and output gradients that no call has had and nobody can foresee, in storage of their own.

    None is a multiple of another, which many laws would hide.
    """

    case: Case
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    _x: tuple[torch.Tensor, torch.Tensor] = field(init=False)
    _dy: tuple[torch.Tensor, torch.Tensor] | None = None

    def __post_init__(self) -> None:
        self._x = _pair(tensor(self.case.x, self.case))
        if self.case.dy is not None:
            self._dy = _pair(tensor(self.case.dy, self.case))

    def x(self) -> torch.Tensor:
        return self._mixed(*self._x)

    def dy(self) -> torch.Tensor:
        assert self._dy is not None, "the case has no cotangent"
        return self._mixed(*self._dy)

    def _mixed(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        a, b = (float(v) for v in self.rng.uniform(0.5, 1.5, 2))
        return torch.add(one * a, other, alpha=b)


def _pair(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two tensors of which mixtures are made: values, and the same ones moved on by one."""
    return values, values.flatten().roll(1).reshape(values.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """Fresh tensors for one call: content, a copy of it, leaves, those that want gradients, cotangent."""

    x: torch.Tensor
    before: torch.Tensor
    leaves: tuple[Any, ...]
    asked: list[torch.Tensor]
    dy: torch.Tensor | None
    threads: frozenset[threading.Thread]
    y: Any  # the output, where the backward alone is timed


@dataclass(frozen=True, slots=True, eq=False)
class Returned:
    """What a call returned, and the threads that it left behind."""

    y: Any
    gradients: tuple[torch.Tensor | None, ...]  # of those that were asked for
    late: list[threading.Thread]


@dataclass(slots=True)
class Timed:
    """An arm that times one pass of a subject on contents of one case's shape."""

    subject: Subject
    case: Case
    question: SpeedQuestion
    device: Device = HOST
    kept: Kept = field(default_factory=Kept)
    contents: Contents | None = None
    calls: int = 0
    _layer: PreparedLayer = field(init=False)

    def __post_init__(self) -> None:
        call = self.subject.call
        if not isinstance(call, TorchCall):
            raise CallError(f"{self.subject.name} works on no tensors of torch, and is not timed")
        self._layer = call.prepare(self.case)
        self.contents = self.contents or Contents(self.case)

    def __call__(self) -> float:
        """Seconds of one call. Raises `RefusedError` for one whose time means nothing."""
        ready = self.ready()
        if self.question.cold:
            self.device.evict()
        returned, seconds = self.device.elapsed(lambda: self.run(ready))
        self._look(ready, returned)
        if self.kept.wants():
            self.kept.keep(self._made(ready, returned))
        return seconds

    def ready(self) -> Ready:
        """What the next call works on, made outside the time that is taken."""
        assert self.contents is not None
        self.calls += 1
        x = self.contents.x()
        before = x.clone()
        dy = self.contents.dy() if self.question.part != FORWARD else None
        leaves = (x, *self._layer.leaves[1:])
        asked = [leaf for leaf in leaves if leaf is not None and dy is not None]
        for leaf in asked:
            leaf.requires_grad_()
        torch.full_like(before, float("nan"))  # freed at once: what an unwritten output is likely to hold
        threads = frozenset(_alive())
        y = self._forward(leaves) if self.question.part == BACKWARD else None
        return Ready(x, before, leaves, asked, dy, threads, y)

    def run(self, ready: Ready) -> Returned:
        """The part that is timed, with what it left behind waited for."""
        y = self._forward(ready.leaves) if ready.y is None else ready.y
        gradients = torch.autograd.grad(y, ready.asked, ready.dy, allow_unused=True) if ready.asked else ()
        warm = self.calls > WARM  # compilers and pools start threads that stay
        late = [thread for thread in _alive() if warm and thread not in ready.threads]
        for thread in late:
            _join(thread, 10.0)
        return Returned(y, gradients, late)

    def _made(self, ready: Ready, returned: Returned) -> Made:
        """Copies of what was returned; an input that no gradient reached has zeros."""
        found = iter(returned.gradients)
        gradients = []
        for leaf in ready.leaves:
            got = next(found) if leaf is not None and ready.asked else None
            missing = leaf is not None and bool(ready.asked) and got is None
            gradients.append(torch.zeros_like(leaf) if missing else None if got is None else got.detach().clone())
        return Made(ready.before, ready.dy, returned.y.detach().clone(), tuple(gradients))

    def _forward(self, leaves: Any) -> Any:
        return output(self._layer.forward(*leaves), self.case, self.subject.name)

    def _look(self, ready: Ready, returned: Returned) -> None:
        """Refuse a call that worked elsewhere or later, or that touched what is not its own."""
        name, y = self.subject.name, returned.y
        if returned.late:
            raise RefusedError(f"background-thread: {name} left a thread behind that works after it has returned")
        if type(y) is not _tensor or y.untyped_storage().nbytes() == 0:
            raise RefusedError(
                f"lazy-output: {name} returned {type(y).__name__}, which may compute when it is looked at"
            )
        if not torch.equal(ready.x.detach(), ready.before):
            raise RefusedError(f"input-overwritten: {name} changed its input")
        clock = tampered()
        if clock:
            raise RefusedError(f"timer-patched: {name} replaced {clock}")


def arms(
    subjects: Sequence[Subject], case: Case, question: SpeedQuestion, device: Device, kept: Sequence[Kept]
) -> Callable[[np.random.Generator], list[Arm]]:
    """What makes the arms of a repetition: in an order and at places that are drawn, each called a few times."""
    warm = chain((WARM,), repeat(1))  # what was compiled once stays compiled

    def make(rng: np.random.Generator) -> list[Arm]:
        made: dict[int, Timed] = {}
        contents = Contents(case)
        between = []
        for index in map(int, rng.permutation(len(subjects))):
            between.append(torch.empty(int(rng.integers(1, PADDING)), dtype=torch.uint8))
            made[index] = Timed(subjects[index], case, question, device, kept[index], contents)
        for _ in range(next(warm)):
            for arm in made.values():
                arm()
        return [made[index] for index in range(len(subjects))]

    return make


def validate(timed: Kept, found: Subject, case: Case, holds: Callable[[Case, Answer], bool]) -> int:
    """Look at outputs and gradients of timed calls; how many were looked at. Raises `RefusedError` for a wrong one.

    case: of which all calls have the shape. holds: whether an answer is right for a case. A replay is told by its
    being right for another call's case.
    """
    name, wanted = found.name, case.format.name
    for made in timed.found:
        answer = made.answer()
        if answer.format != wanted:
            raise RefusedError(f"wrong-when-timed: {name} returned {answer.format}, not {wanted}")
        if holds(made.case(case), answer):
            continue
        arrays = (answer.y, answer.dx, answer.dweight, answer.dbias)
        if not all(np.isfinite(one).all() for one in arrays if one is not None):
            raise RefusedError(f"unwritten-output: {name} returned memory that it did not write")
        if any(_replayed(answer, made, other, case, holds) for other in timed.found if other is not made):
            raise RefusedError(f"replay: {name} returned the answer of another call")
        raise RefusedError(f"wrong-when-timed: {name} returned a wrong answer from a call that was timed")
    return len(timed.found)


def _replayed(answer: Answer, made: Made, other: Made, case: Case, holds: Callable[[Case, Answer], bool]) -> bool:
    """Whether an answer, or its gradients alone, are those of another call."""
    if holds(other.case(case), answer):
        return True
    gradients = replace(answer, y=array(other.y))
    return made.dy is not None and holds(other.case(case), gradients)
