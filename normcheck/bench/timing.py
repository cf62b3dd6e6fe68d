"""One timed call of an implementation: fresh content in fresh storage, and an output that is looked at afterwards.

The call goes through the binding that checks use, a few microseconds of Python for implementation and baseline alike;
at sizes where that is most of the time a ratio is nearer to 1 than that of the kernels alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from normcheck.adapters.base import Subject
from normcheck.adapters.torch_layer import Layer
from normcheck.adapters.torch_tensors import NAMES, array, cotangent, output
from normcheck.adapters.torch_uses import Asked
from normcheck.bench.pairs import now
from normcheck.case import Case
from normcheck.errors import CallError

FORWARD, BACKWARD, BOTH = "forward", "backward", "both"
PASSES = (FORWARD, BACKWARD, BOTH)

_timers = {name: getattr(time, name) for name in ("perf_counter", "perf_counter_ns", "monotonic", "time")}
_alive: Callable[[], list[threading.Thread]] = threading.enumerate
_join = threading.Thread.join
_tensor = torch.Tensor


class RefusedError(CallError):
    """A call whose time means nothing; the reason begins with the name of the cheat."""


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
    """An arm that times one pass of a subject on contents of one case's shape.

    kept: cases and outputs of the first call and of later ones drawn by chance, to be validated after timing.
    """

    subject: Subject
    case: Case
    part: str
    seed: int = 0
    calls: int = 0
    kept: list[tuple[Case, torch.Tensor]] = field(default_factory=list)
    _rng: np.random.Generator = field(init=False)
    _layer: Layer = field(init=False)
    _other: torch.Tensor = field(init=False)
    _base: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        call = self.subject.call
        if not isinstance(call, Asked):
            raise CallError(f"{self.subject.name} works on no tensors of torch, and is not timed")
        self._rng = np.random.default_rng(self.seed)
        self._layer = call.prepare(self.case)
        base = self._layer.leaves[0]
        assert base is not None
        self._base = base.detach().clone()
        self._other = self._base.flatten().roll(1).reshape(self._base.shape)

    def __call__(self) -> float:
        """Seconds of one call. Raises `RefusedError` for one whose time means nothing."""
        ready = self.ready()
        started = now()
        y, late = self.run(ready)
        seconds = now() - started
        self._look(ready.x, ready.before, y, late)
        if self.calls == 1 or self._rng.random() < 4.0 / self.calls:
            case = self.case.but(x=array(ready.before))
            self.kept = [*self.kept[:1], *self.kept[-3:], (case, y.detach().clone())]
        return seconds

    def ready(self) -> Ready:
        """What the next call works on, made outside the time that is taken."""
        self.calls += 1
        x = self._fresh()
        before = x.detach().clone()
        dy = cotangent(self.case) if self.part != FORWARD else None
        leaves = (x, *self._layer.leaves[1:])
        asked = [leaf for leaf in leaves if leaf is not None and self.part != FORWARD]
        for leaf in asked:
            leaf.requires_grad_()
        torch.full_like(self._base, float("nan"))  # freed at once: what an unwritten output is likely to hold
        threads = frozenset(_alive())
        y = self._forward(leaves) if self.part == BACKWARD else None
        return Ready(x, before, leaves, asked, dy, threads, y)

    def run(self, ready: Ready) -> tuple[Any, list[threading.Thread]]:
        """The part that is timed, with what it left behind waited for; returns the output and the threads left."""
        y = self._forward(ready.leaves) if ready.y is None else ready.y
        if ready.asked:
            torch.autograd.grad(y, ready.asked, ready.dy, allow_unused=True)
        late = [thread for thread in _alive() if thread not in ready.threads]
        for thread in late:
            _join(thread, 10.0)
        return y, late

    def _fresh(self) -> torch.Tensor:
        """Content that no call has had, in storage of its own: no multiple of another, which many laws would hide."""
        a, b = (float(v) for v in self._rng.uniform(0.5, 1.5, 2))
        return torch.add(self._base * a, self._other, alpha=b).detach()

    def _forward(self, leaves: Any) -> Any:
        return output(self._layer.forward(*leaves), self.case, self.subject.name)

    def _look(self, x: torch.Tensor, before: torch.Tensor, y: Any, late: list[threading.Thread]) -> None:
        """Refuse a call that worked elsewhere or later, or that touched what is not its own."""
        name = self.subject.name
        if late:
            raise RefusedError(f"background-thread: {name} left a thread behind that works after it has returned")
        if type(y) is not _tensor or y.untyped_storage().nbytes() == 0:
            raise RefusedError(
                f"lazy-output: {name} returned {type(y).__name__}, which may compute when it is looked at"
            )
        if not torch.equal(x.detach(), before):
            raise RefusedError(f"input-overwritten: {name} changed its input")
        for timer, taken in _timers.items():
            if getattr(time, timer) is not taken:
                raise RefusedError(f"timer-patched: {name} replaced time.{timer}")


def warmed(arm: Callable[[], float], calls: int = 3) -> None:
    """First calls compile, allocate and start threads."""
    for _ in range(calls):
        arm()


def validate(timed: Timed, holds: Callable[[Case, np.ndarray[Any, Any]], bool]) -> int:
    """Look at the outputs of timed calls; how many were compared. Raises `RefusedError` for a wrong one.

    holds: whether an output is right for a case. A replay is told by its being right for another call's case.
    """
    name, wanted = timed.subject.name, timed.case.format.name
    for case, y in timed.kept:
        if NAMES.get(y.dtype) != wanted:
            raise RefusedError(f"wrong-when-timed: {name} returned {y.dtype}, not {wanted}")
        got = array(y)
        if holds(case, got):
            continue
        if not np.isfinite(got).all():
            raise RefusedError(f"unwritten-output: {name} returned memory that it did not write")
        if any(holds(other, got) for other, _ in timed.kept if other is not case):
            raise RefusedError(f"replay: {name} returned the answer of another call")
        raise RefusedError(f"wrong-when-timed: {name} returned a wrong output from a call that was timed")
    return len(timed.kept)
