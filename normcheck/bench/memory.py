"""Peak memory of a pass against what it must keep, and every copy and cast on the way, named.

Read from torch's profiler: allocations and releases in order, with the operators that they happened in; a copy or a
cast is whatever runs `aten::copy_`, since that is what clone, contiguous, to, double and assignments come to. Only
memory that torch allocates is seen: arrays of numpy and buffers of extensions are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.profiler import record_function

from normcheck.bench.trace import REGION, TraceStep, live, traced
from normcheck.bench.traffic import BACKWARD, BOTH, FORWARD, itemsize
from normcheck.core.errors import CallError
from normcheck.core.foreign_code import quiet
from normcheck.frameworks.torch.layer import PreparedLayer
from normcheck.frameworks.torch.tensors import cotangent, output
from normcheck.frameworks.torch.uses import TorchCall
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Subject

MORE, WITHIN = "more", "within"
COPY, CAST, TEMPORARY = "copy", "cast", "temporary"

NUMBER = 8
"""Bytes of a single number: operators make scalars into tensors, which are no extra."""

COPIERS = frozenset(
    f"aten::{name}"
    for name in (
        "clone", "contiguous", "to", "_to_copy", "type_as", "reshape", "flatten", "repeat", "tile", "expand_copy",
        "view_copy", "detach_copy", "alias_copy",
    )
)  # fmt: skip
"""Operators that do nothing but copy or cast: the outermost of them names what the code asked for."""


@dataclass(frozen=True, slots=True)
class Extra:
    """What a pass does beside what it must: a copy, a cast, or a temporary tensor; equal ones counted together.

    bytes: of one. full: as many entries as the input, or as many bytes. source, to: dtypes of a cast.
    """

    kind: str
    operator: str
    part: str
    bytes: int
    full: bool
    count: int = 1
    shape: tuple[int, ...] = ()
    source: str = ""
    to: str = ""

    def __str__(self) -> str:
        times = f" {self.count} times" if self.count > 1 else ""
        size = "x".join(map(str, self.shape)) + ", " if self.shape else ""
        dtypes = f" from {self.source} to {self.to}" if self.kind == CAST else ""
        return f"{self.kind}{dtypes} by {self.operator} in {self.part}{times} ({size}{self.bytes} bytes)"

    def record(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "operator": self.operator, "pass": self.part, "bytes": self.bytes, "full": self.full,
            "count": self.count, "shape": list(self.shape), "from": self.source, "to": self.to,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes allocated at once during a pass, beyond what the caller holds already (input, parameters, cotangent).

    needs: what an implementation must hold at its end, by name. kept: bytes held between forward and backward
    beside the output; 0 for a forward alone.
    """

    part: str
    peak: int
    needs: Mapping[str, int]
    kept: int = 0
    extras: tuple[Extra, ...] = ()

    @property
    def needed(self) -> int:
        return sum(self.needs.values())

    @property
    def ratio(self) -> float:
        return self.peak / self.needed if self.needed else 1.0

    @property
    def hidden(self) -> tuple[Extra, ...]:
        """Copies and casts of the size of the input, the largest first."""
        return tuple(one for one in self.extras if one.full and one.kind != TEMPORARY)

    def record(self) -> dict[str, Any]:
        """Keys: pass, peak, needed, ratio, needs (by name), kept (bytes), extras (each as `Extra.record`)."""
        return {
            "pass": self.part, "peak": self.peak, "needed": self.needed, "ratio": self.ratio,
            "needs": dict(self.needs), "kept": self.kept, "extras": [one.record() for one in self.extras],
        }  # fmt: skip


def needs(found: Subject, case: Case, part: str, block: int = 1) -> dict[str, int]:
    """What must be there at the end of a pass: outputs, and the statistics that the backward starts from.

    block: bytes that an allocator rounds each tensor up to.
    """
    item, wide = itemsize(case.format), itemsize(case.format.wide)
    normalizer = found.normalizer
    own = case.training or not normalizer.state
    sets = normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim).sets
    out = {"y": case.x.size * item}
    if own:
        out["mean"] = normalizer.centered * sets * wide
        out["scale"] = normalizer.scaled * sets * wide
    if part == BOTH:
        out["dx"] = case.x.size * item
        out["dweight"] = 0 if case.weight is None else case.weight.size * item
        out["dbias"] = 0 if case.bias is None else case.bias.size * item
    return {name: -(-size // block) * block for name, size in out.items() if size}


def _operator(path: Sequence[str]) -> str:
    """The operator that the code called: the outermost that only copies, else the outermost with a namespace."""
    named = [name for name in path if "::" in name and not name.startswith(("autograd::", "torch::autograd"))]
    return next((name for name in named if name in COPIERS), named[0] if named else (path or ("code",))[-1])


def extras(
    steps: Sequence[TraceStep], size: int, entries: int, outputs: frozenset[int] = frozenset()
) -> tuple[Extra, ...]:
    """Copies, casts and temporaries of a pass, equal ones together, the largest first.

    size, entries: of the input, in bytes and in numbers. outputs: pointers of what the pass returned.
    """
    found: dict[Extra, int] = {}
    for step in steps:
        if step.moved is not None:
            shape, source, to = step.moved
            count = math.prod(shape)
            kind = COPY if source == to else CAST
            moved = count * getattr(torch, to).itemsize
            one = Extra(kind, _operator(step.path), step.part, moved, count >= entries, 1, shape, source, to)
            found[one] = found.get(one, 0) + 1
    for step, there in live(steps).blocks:
        operator = _operator(step.path)
        if operator not in COPIERS and not (there and step.pointer in outputs):
            one = Extra(TEMPORARY, operator, step.part, step.bytes, step.bytes >= size)
            found[one] = found.get(one, 0) + 1
    counted = (replace(one, count=count) for one, count in found.items() if one.bytes > NUMBER)
    return tuple(sorted(counted, key=lambda e: (not e.full, -e.bytes * e.count, e.kind, e.operator)))


def _pointers(values: Iterable[Any]) -> frozenset[int]:
    return frozenset(v.untyped_storage().data_ptr() for v in values if isinstance(v, torch.Tensor))


def _passes(layer: PreparedLayer, case: Case, part: str) -> Callable[[], list[Any]]:
    """A call that runs the passes in their regions and returns all that the caller would hold."""
    leaves = tuple(None if leaf is None else leaf.detach().clone() for leaf in layer.leaves)
    asked = [leaf for leaf in leaves if leaf is not None and part == BOTH]
    for leaf in asked:
        leaf.requires_grad_()
    dy = cotangent(case) if part == BOTH else None

    def run() -> list[Any]:
        with record_function(REGION + FORWARD):
            returned = layer.forward(*leaves)
        y = output(returned, case, layer.name)
        if not asked:
            return [y]
        with record_function(REGION + BACKWARD):
            grads = torch.autograd.grad(y, asked, dy, allow_unused=True)
        return [y, *grads]

    return run


Meter = Callable[[Callable[[], Any]], int | None]
"""Runs a call and tells the most bytes that it allocated at once; None where the steps tell it."""


def cuda_meter(device: str = "cuda", cuda: Any = torch.cuda) -> Meter:
    """Peak memory of a device as its allocator counts it, above what was allocated before."""

    def peak(run: Callable[[], Any]) -> int:
        cuda.synchronize(device)
        cuda.reset_peak_memory_stats(device)
        before = cuda.memory_allocated(device)
        kept = run()
        cuda.synchronize(device)
        most = int(cuda.max_memory_allocated(device) - before)
        del kept
        return most

    return peak


CUDA_BLOCK = 512
"""Bytes that CUDA's caching allocator of torch rounds up to (kMinBlockSize in its source)."""


def memory(found: Subject, case: Case, part: str, meter: Meter | None = None, block: int = 1) -> MemoryUse:
    """Peak memory of a forward ("forward") or of forward and backward ("both") of a case, with what is extra.

    meter, block: those of a device; without, allocations on the processor are followed one by one.
    Raises `CallError` where there is nothing to measure.
    """
    call = found.call
    if not isinstance(call, TorchCall):
        raise CallError(f"{found.name} works on no tensors of torch, and its memory is not measured")
    if part not in (FORWARD, BOTH):
        raise ValueError(f"memory is measured of {FORWARD!r} and of {BOTH!r}, not of {part!r}")
    run = _passes(call.prepare(case), case, part)
    with quiet():
        run()  # the first call compiles, and fills caches that stay
        told = meter(run) if meter is not None else None
        held, steps = traced(run)
    seen = live(steps)
    outputs = _pointers(held)
    y = next((step.bytes for step, _ in seen.blocks if step.pointer in _pointers(held[:1])), 0)
    kept = max(0, seen.left.get(FORWARD, 0) - y) if part == BOTH else 0
    size = case.x.size * itemsize(case.format)
    return MemoryUse(
        part,
        seen.peak if told is None else told,
        needs(found, case, part, block),
        kept,
        extras(steps, size, case.x.size, outputs),
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a pass holds more than is allowed, and the sentence that says so."""

    verdict: str
    reason: str = ""


def judge(found: MemoryUse, limit: float) -> Judged:
    """The verdict of `--norm-max-memory R`: the peak may be R times what must be kept. No noise, so no third verdict.

    Raises `ValueError` for a limit below 1, which nothing can hold.
    """
    if not limit >= 1.0:
        raise ValueError(f"a limit of {limit:g} times what must be kept holds for nothing; give 1 or more")
    if found.peak <= limit * found.needed:
        return Judged(WITHIN)
    most = next((f"; the largest extra: {one}" for one in found.extras), "")
    return Judged(
        MORE,
        f"{found.part} holds {found.peak} bytes at once, {found.ratio:.2f} times the {found.needed} that must be kept "
        f"({limit:g} allowed){most}",
    )
