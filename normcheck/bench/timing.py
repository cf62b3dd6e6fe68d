"""One timed call of an implementation: fresh content in fresh storage, and an output that is looked at afterwards.

The call goes through the binding that checks use, a few microseconds of Python for implementation and baseline alike;
at sizes where that is most of the time a ratio is nearer to 1 than that of the kernels alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch

from normcheck.adapters.base import Subject
from normcheck.adapters.torch_layer import Layer
from normcheck.adapters.torch_tensors import NAMES, array, cotangent, output
from normcheck.adapters.torch_uses import Asked
from normcheck.bench.device import HOST, Device, tampered
from normcheck.bench.grid import Question
from normcheck.bench.pairs import Arm
from normcheck.bench.traffic import BACKWARD, FORWARD
from normcheck.case import Case
from normcheck.errors import CallError

_alive: Callable[[], list[threading.Thread]] = threading.enumerate
_join = threading.Thread.join
_tensor = torch.Tensor

WARM = 3
"""Calls before the first that counts: they compile, allocate and start threads."""

PADDING = 1 << 15
"""Bytes at most between the storage of two arms: where they come to lie is drawn anew for each repetition."""


class RefusedError(CallError):
    """A call whose time means nothing; the reason begins with the name of the cheat."""


@dataclass(slots=True)
class Kept:
    """Inputs and outputs of some calls, to be validated after timing: the first, the latest, others by chance.

    most: as many at a time; none of a baseline's, which nobody doubts.
    """

    most: int = 6
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    calls: int = 0
    found: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)

    def wants(self) -> bool:
        """Whether the call that was just made is to be kept: every one with the same chance to stay, about."""
        self.calls += 1
        return self.calls <= min(1, self.most) or self.rng.random() < self.most / self.calls

    def keep(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """The copy of the output is made at once: what is written later is not in it."""
        self.found = [*self.found[:1], *self.found[1:][2 - self.most :], (x, y.detach().clone())]


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


@dataclass(slots=True)
class Timed:
    """An arm that times one pass of a subject on contents of one case's shape, which nobody can foresee."""

    subject: Subject
    case: Case
    question: Question
    device: Device = HOST
    kept: Kept = field(default_factory=Kept)
    calls: int = 0
    _layer: Layer = field(init=False)
    _other: torch.Tensor = field(init=False)
    _base: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        call = self.subject.call
        if not isinstance(call, Asked):
            raise CallError(f"{self.subject.name} works on no tensors of torch, and is not timed")
        self._layer = call.prepare(self.case)
        base = self._layer.leaves[0]
        assert base is not None
        self._base = base.detach().clone()
        self._other = self._base.flatten().roll(1).reshape(self._base.shape)

    def __call__(self) -> float:
        """Seconds of one call. Raises `RefusedError` for one whose time means nothing."""
        ready = self.ready()
        if self.question.cold:
            self.device.evict()
        (y, late), seconds = self.device.elapsed(lambda: self.run(ready))
        self._look(ready, y, late)
        if self.kept.wants():
            self.kept.keep(ready.before, y)
        return seconds

    def ready(self) -> Ready:
        """What the next call works on, made outside the time that is taken."""
        self.calls += 1
        x = self._fresh()
        before = x.detach().clone()
        dy = cotangent(self.case) if self.question.part != FORWARD else None
        leaves = (x, *self._layer.leaves[1:])
        asked = [leaf for leaf in leaves if leaf is not None and self.question.part != FORWARD]
        for leaf in asked:
            leaf.requires_grad_()
        torch.full_like(self._base, float("nan"))  # freed at once: what an unwritten output is likely to hold
        threads = frozenset(_alive())
        y = self._forward(leaves) if self.question.part == BACKWARD else None
        return Ready(x, before, leaves, asked, dy, threads, y)

    def run(self, ready: Ready) -> tuple[Any, list[threading.Thread]]:
        """The part that is timed, with what it left behind waited for; returns the output and the threads left."""
        y = self._forward(ready.leaves) if ready.y is None else ready.y
        if ready.asked:
            torch.autograd.grad(y, ready.asked, ready.dy, allow_unused=True)
        warm = self.calls > WARM  # compilers and pools start threads that stay
        late = [thread for thread in _alive() if warm and thread not in ready.threads]
        for thread in late:
            _join(thread, 10.0)
        return y, late

    def _fresh(self) -> torch.Tensor:
        """Content that no call has had, in storage of its own: no multiple of another, which many laws would hide."""
        a, b = (float(v) for v in self.kept.rng.uniform(0.5, 1.5, 2))
        return torch.add(self._base * a, self._other, alpha=b).detach()

    def _forward(self, leaves: Any) -> Any:
        return output(self._layer.forward(*leaves), self.case, self.subject.name)

    def _look(self, ready: Ready, y: Any, late: list[threading.Thread]) -> None:
        """Refuse a call that worked elsewhere or later, or that touched what is not its own."""
        name = self.subject.name
        if late:
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
    subjects: Sequence[Subject], case: Case, question: Question, device: Device, kept: Sequence[Kept]
) -> Callable[[np.random.Generator], list[Arm]]:
    """What makes the arms of a repetition: in an order and at places that are drawn, each called a few times."""
    warm = chain((WARM,), repeat(1))  # what was compiled once stays compiled

    def make(rng: np.random.Generator) -> list[Arm]:
        made: dict[int, Timed] = {}
        between = []
        for index in map(int, rng.permutation(len(subjects))):
            between.append(torch.empty(int(rng.integers(1, PADDING)), dtype=torch.uint8))
            made[index] = Timed(subjects[index], case, question, device, kept[index])
        for _ in range(next(warm)):
            for arm in made.values():
                arm()
        return [made[index] for index in range(len(subjects))]

    return make


def validate(timed: Kept, found: Subject, case: Case, holds: Callable[[Case, np.ndarray[Any, Any]], bool]) -> int:
    """Look at the outputs of timed calls; how many were compared. Raises `RefusedError` for a wrong one.

    case: of which all calls have the shape. holds: whether an output is right for a case. A replay is told by its
    being right for another call's case.
    """
    name, wanted = found.name, case.format.name
    for x, y in timed.found:
        if NAMES.get(y.dtype) != wanted:
            raise RefusedError(f"wrong-when-timed: {name} returned {y.dtype}, not {wanted}")
        got = array(y)
        if holds(case.but(x=array(x)), got):
            continue
        if not np.isfinite(got).all():
            raise RefusedError(f"unwritten-output: {name} returned memory that it did not write")
        if any(holds(case.but(x=array(other)), got) for other, _ in timed.found if other is not x):
            raise RefusedError(f"replay: {name} returned the answer of another call")
        raise RefusedError(f"wrong-when-timed: {name} returned a wrong output from a call that was timed")
    return len(timed.found)
