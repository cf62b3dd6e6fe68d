"""The processes of a divided normalizer, as the judge sees them: started once, called together, started again if lost.

The judge imports no code of the implementation to call it: each process is given its shard and returns arrays.
"""

from __future__ import annotations

import pickle
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from normcheck.core.claim import Implementation
from normcheck.core.contract import contract
from normcheck.core.device import DEVICE, PROCESSOR
from normcheck.core.errors import CallError, LostError, UsageError, lacking_gradient
from normcheck.core.foreign_code import first_line
from normcheck.core.limits import Limits
from normcheck.families.synchronized import conventions
from normcheck.families.synchronized.case import DIVIDED, PLACEMENTS, WRAPPERS, RankAnswer, RanksCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.space import CHUNKS, SynchronizedDraw, ranks_case
from normcheck.families.synchronized.subject import Answers, SynchronizedDomain, SynchronizedSubject
from normcheck.families.synchronized.torch import devices, placing, wrapping
from normcheck.families.synchronized.torch.rank import RankPlace, join
from normcheck.families.synchronized.torch.signature import FUNCTION, Taken
from normcheck.frameworks.isolation.typed import dataclass_form, form_of
from normcheck.frameworks.isolation.worker_group import WorkerGroup

LIMITS = Limits(seconds=10.0)
"""Of one call of all processes, where the user sets no limits: a call takes milliseconds."""

STARTING = 60.0
"""Seconds in which the processes must have joined and bound the implementation."""

MOST_LOSSES = 3
"""Number of times that an implementation may lose a process before it is given up."""

ANSWERS = form_of(tuple[RankAnswer, ...])
TAKEN = dataclass_form(Taken)

OTHER_DEVICE = re.compile(r"\b(cuda|gpus?)\b", re.IGNORECASE)
"""What an exception says of code that does not run on the processor."""


class RankProcesses:
    """An implementation in as many processes as its contract says. Only one implementation has processes at a time."""

    def __init__(self, claim: Implementation, entry: Synchronized, limits: Limits = LIMITS) -> None:
        self._claim, self._entry, self._device = claim, entry, DEVICE.get()
        self._limits = devices.limits_on(self._device, limits)
        self._contract = contract(claim.contract)
        self._group: WorkerGroup | None = None
        self._forget: Callable[[], Any]  # removes the file through which the processes find each other
        self._taken: Taken
        self._losses, self._lost = 0, ""
        self._imported: set[str] = set()  # by these processes, for their calls
        self._raised: dict[str, CallError] = {}  # below a wrapper, or given a placement

    def close(self) -> None:
        """Kill the processes; the next call starts new ones."""
        if self._group is not None:
            self._group.close()
            self._group = None
            self._imported.clear()
            self._forget()

    def renew(self) -> None:
        """Before each check: nothing to do, because lost processes are started again at the next call."""

    def end(self) -> None:
        """After the last check: the processes are ended."""
        self.close()

    def subject(self) -> SynchronizedSubject:
        """Bind the implementation: start the processes, and find out what it accepts by calling it.

        Raises `UsageError` if it cannot be loaded or bound, `CallError` if it fails on every ordinary input, and
        `LostError` if a process is lost.
        """
        conventions.known(self._contract, self._entry)
        taken = self._started()
        conventions.eps_known(self._contract, frozenset(taken.roles), self._claim.name)
        promised, entry = self._contract, self._entry
        if promised.eps is None and taken.eps is not None:
            promised = replace(promised, eps=taken.eps)
        meshed = promised.tensors == "dtensor"
        if meshed:  # what every process has is one DTensor, whose gradient is that of the joined input
            entry = replace(entry, reduces_parameters=not entry.divides_parameters)
        formats = tuple(name for name in promised.served if name in SynchronizedDomain().formats)
        domain = SynchronizedDomain(
            formats=formats, shards=("equal", CHUNKS) if meshed else (), units=taken.units, momentum=taken.momentum,
            placements=PLACEMENTS if meshed else (DIVIDED,),
        )  # fmt: skip
        bound = SynchronizedSubject(self._claim.name, entry, promised, domain, self.call, self.successive)
        return replace(bound, domain=_discovered(bound, taken))

    def call(self, case: RanksCase, gradient: bool) -> Answers:
        """The answers of all ranks to a case."""
        (found,) = self._answers([case], gradient=gradient)
        return found

    def successive(self, cases: Sequence[RanksCase]) -> tuple[Answers, ...]:
        """The answers of one layer to several cases in turn."""
        return self._answers(cases, gradient=False)

    def _answers(self, cases: Sequence[RanksCase], *, gradient: bool) -> tuple[Answers, ...]:
        use = cases[0].use
        if use in self._raised:
            raise self._raised[use]
        self._started()
        if cases[0].wrapper:
            self._import(wrapping.NEEDED)
        try:
            return self._replies(cases, gradient=gradient)
        except CallError as error:
            if use:  # as it raises for each case, and after each error the processes start anew
                self._raised[use] = error
            raise

    def _replies(self, cases: Sequence[RanksCase], *, gradient: bool) -> tuple[Answers, ...]:
        by_rank = zip(*(case.shards() for case in cases), strict=True)
        requests = [("subject call", "run", False, shards, gradient) for shards in by_rank]
        replies = self._asked(requests, self._limits.seconds * len(cases), ANSWERS)
        found: tuple[Answers, ...] = tuple(zip(*replies, strict=True))
        for case, answers in zip(cases, found, strict=True):
            for shard, answer in zip(case.shards(), answers, strict=True):
                if answer.y.shape != shard.x.shape:
                    raise LostError(f"{self._claim.name}: rank {shard.rank}: it sent an invalid response")
        return found

    def _import(self, targets: Sequence[str]) -> None:
        """Import what a call needs and torch has not imported yet, so that this takes no time of the call's limit."""
        assert self._group is not None
        for target in targets:
            if target not in self._imported:
                requests = [("import", target)] * int(self._contract.ranks)
                self._watched(self._group, requests, STARTING, form_of(type(None)))
                self._imported.add(target)

    def _asked(self, requests: Sequence[tuple[Any, ...]], seconds: float, form: Any) -> list[Any]:
        """The results of all ranks, from processes that are started if there are none."""
        if self._losses >= MOST_LOSSES:
            raise LostError(self._lost)
        self._started()
        assert self._group is not None
        return self._watched(self._group, requests, seconds, form)

    def _watched(self, group: WorkerGroup, requests: Sequence[tuple[Any, ...]], seconds: float, form: Any) -> list[Any]:
        """The results of all ranks; after an error the processes are ended, because they wait for each other."""
        try:
            return group.request(requests, seconds, form)
        except LostError as error:
            self._losses += 1
            given_up = f"; it is not called again, after {MOST_LOSSES} lost processes"
            self._lost = f"{self._claim.name}: {error}{given_up * (self._losses >= MOST_LOSSES)}"
            self.close()
            raise LostError(self._lost) from None
        except (CallError, UsageError):
            self.close()
            raise

    def _started(self) -> Taken:
        """Start the processes if there are none. Returns the roles of the implementation's parameters."""
        if self._group is not None:
            return self._taken
        try:
            pickle.dumps(self._claim)
        except Exception as error:
            said = f"{self._claim.name} cannot be sent to other processes ({first_line(error)}): name it as text"
            raise UsageError(said) from None
        ranks = int(self._contract.ranks)
        where = devices.rank_devices(self._device, ranks, torch.cuda.device_count)
        for other in list(_RUNNING):
            other.close()
        _RUNNING.add(self)
        group = WorkerGroup(ranks, self._limits)
        self._group = group
        folder = tempfile.mkdtemp(prefix="normcheck-")
        self._forget = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        store = str(Path(folder) / "store")
        places = [RankPlace(rank, ranks, store, self._limits.seconds, one) for rank, one in enumerate(where)]
        if isinstance(self._claim.target, str):
            self._import([self._claim.target])
        if self._contract.tensors == "dtensor":
            self._import(placing.NEEDED)
        requests = [("bind", partial(join, place, self._entry), self._claim) for place in places]
        self._taken = self._watched(group, requests, STARTING, TAKEN)[0]
        return self._taken


def subject(claim: Implementation, entry: Synchronized) -> SynchronizedSubject:
    """Bind a divided normalizer, in processes of its own. Raises as `RankProcesses.subject` does."""
    return RankProcesses(claim, entry).subject()


def _why(bound: SynchronizedSubject, draw: SynchronizedDraw, *, gradient: bool = False) -> str:
    """Why a call on the case of a draw fails; empty if it does not."""
    try:
        bound.call(ranks_case(bound.entry, draw), gradient)
    except CallError as error:
        return error.reason
    return ""


def _discovered(bound: SynchronizedSubject, taken: Taken) -> SynchronizedDomain:
    """What it accepts, by its parameters and by calling it."""
    entry, eps, roles, own = bound.entry, bound.contract.eps, frozenset(taken.roles), bound.domain
    meshed = bound.contract.tensors == "dtensor"
    lacking = conventions.lacking(entry, roles)
    affine = not lacking
    plain = SynchronizedDraw(ranks=int(bound.contract.ranks), shards="equal", affine=affine, width=own.units)
    plain = plain if eps is None else replace(plain, eps=eps)
    whys = {name: _why(bound, replace(plain, format=name)) for name in bound.domain.formats}
    formats = tuple(name for name, why in whys.items() if not why)
    if not formats:
        raise _refused(bound.name, next(iter(whys.values()), "none of the formats that the contract claims is known"))
    plain = replace(plain, format=formats[0])
    bare = not taken.requires_weight or not affine or not _why(bound, replace(plain, affine=False))
    statistics, no_wrapper = {"running_mean", "running_var"} <= roles, _no_wrappers(entry, taken, meshed=meshed)
    offered = {
        "weight and bias": lacking,
        "gradient": lacking_gradient(_why(bound, plain, gradient=True)),
        "process groups": _no_groups(roles, meshed=meshed),
    }
    if entry.state:
        offered |= {
            "running statistics": "" if statistics and "momentum" in roles else "keeps no running_mean and running_var",
            "evaluation": _why(bound, replace(plain, training=False))
            if statistics and "training" in roles
            else "takes no running_mean, running_var and training",
        }
    return replace(
        own,
        formats=formats,
        affine=affine,
        bare=bare,
        evaluation=not offered.get("evaluation", "-"),
        running=not offered.get("running statistics", "-"),
        gradient=not offered["gradient"],
        groups=not offered["process groups"],
        wrappers=() if no_wrapper else WRAPPERS,
        no_wrapper=no_wrapper,
        absent={what: why for what, why in {**whys, **offered}.items() if why},
    )


def _no_groups(roles: frozenset[str], *, meshed: bool) -> str:
    """Why process groups cannot be checked; empty if they can."""
    if meshed:
        return "a DTensor is on a mesh of all processes"
    return "" if "process_group" in roles else "has no parameter process_group"


def _no_wrappers(entry: Synchronized, taken: Taken, *, meshed: bool) -> str:
    """Why wrappers cannot be checked; empty if they can."""
    if entry.divides_parameters:
        return "parameters that are divided already have wrappers over other processes"
    if taken.what == FUNCTION:
        return "is a function, which no wrapper takes"
    return "has parameters that are DTensors already" if meshed else ""


def _refused(name: str, why: str) -> UsageError | CallError:
    """The error of code that refuses all ordinary inputs: one of usage where it asks for another device."""
    if OTHER_DEVICE.search(why) and DEVICE.get() == PROCESSOR:
        said = f"{name} needs CUDA, and its processes run on the CPU here with gloo: it {why}"
        return UsageError(f"{said}; where there are GPUs, --norm-device {devices.CUDA} gives one to each")
    return CallError(f"{name} {why}", why)


_RUNNING: weakref.WeakSet[RankProcesses] = weakref.WeakSet()
"""The implementation that has processes; it loses them when another one needs its own."""
