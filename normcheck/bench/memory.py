"""Peak memory of a pass against the memory that it must keep, and every copy and cast on the way, by name.

Both are read from the steps of a profile: allocations and releases in order, with the operators in which they happened.
A copy or a cast is whatever runs `aten::copy_`, because clone, contiguous, to, double and assignments all end there.
Only memory that torch allocates is counted: arrays of numpy and buffers of extensions are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from normcheck.bench.device import Device
from normcheck.bench.torch_device import HOST
from normcheck.bench.torch_pass import prepared_layer
from normcheck.bench.torch_profile import passes_in_regions, profile_call, storage_pointers
from normcheck.bench.trace import TraceStep, follow_allocations
from normcheck.bench.traffic import BOTH, FORWARD, itemsize
from normcheck.core.foreign_code import quiet
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Subject

MORE, WITHIN = "more", "within"
COPY, CAST, TEMPORARY = "copy", "cast", "temporary"

SCALAR = 8
"""Bytes of a single number: operators turn Python scalars into tensors of that size, which do not count as extra."""

COPYING_OPERATORS = frozenset(
    f"aten::{name}"
    for name in (
        "clone", "contiguous", "to", "_to_copy", "type_as", "reshape", "flatten", "repeat", "tile", "expand_copy",
        "view_copy", "detach_copy", "alias_copy",
    )
)  # fmt: skip
"""Operators that only copy or cast: the outermost of them is the one that the user's code called."""


@dataclass(frozen=True, slots=True)
class ExtraMemory:
    """Memory beyond what a pass must keep: a copy, a cast, or a temporary tensor; equal ones are counted together.

    bytes: of one. full: it has as many entries, or as many bytes, as the input. source, to: the dtypes of a cast.
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
        """Keys: kind, operator, pass, bytes, full, count, shape, from, to."""
        return {
            "kind": self.kind, "operator": self.operator, "pass": self.part, "bytes": self.bytes, "full": self.full,
            "count": self.count, "shape": list(self.shape), "from": self.source, "to": self.to,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """The most bytes held at once during a pass, beyond those of the caller (input, parameters, cotangent).

    needs: the bytes that any implementation must hold when the pass ends, by name. kept: bytes held between forward
    and backward besides the output; 0 for a forward alone.
    """

    part: str
    peak: int
    needs: Mapping[str, int]
    kept: int = 0
    extras: tuple[ExtraMemory, ...] = ()

    @property
    def needed(self) -> int:
        """The sum of `needs`, in bytes."""
        return sum(self.needs.values())

    @property
    def ratio(self) -> float:
        """Peak over needed; 1 if nothing is needed."""
        return self.peak / self.needed if self.needed else 1.0

    @property
    def hidden(self) -> tuple[ExtraMemory, ...]:
        """Copies and casts as large as the input, the largest first."""
        return tuple(one for one in self.extras if one.full and one.kind != TEMPORARY)

    def record(self) -> dict[str, Any]:
        """Keys: pass, peak, needed, ratio, needs (by name), kept (bytes), extras (each as `ExtraMemory.record`)."""
        return {
            "pass": self.part, "peak": self.peak, "needed": self.needed, "ratio": self.ratio,
            "needs": dict(self.needs), "kept": self.kept, "extras": [one.record() for one in self.extras],
        }  # fmt: skip


def required_bytes(found: Subject, case: Case, part: str, block: int = 1) -> dict[str, int]:
    """Bytes that must be held when a pass ends, by name: the outputs, and the statistics that the backward needs.

    block: the allocator rounds the bytes of each tensor up to a multiple of this.
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
    """The operator that the user's code called: the outermost that only copies, else the outermost with a namespace."""
    named = [name for name in path if "::" in name and not name.startswith(("autograd::", "torch::autograd"))]
    return next((name for name in named if name in COPYING_OPERATORS), named[0] if named else (path or ("code",))[-1])


def find_extras(
    steps: Sequence[TraceStep], size: int, entries: int, outputs: frozenset[int] = frozenset()
) -> tuple[ExtraMemory, ...]:
    """Copies, casts and temporary tensors of a pass, equal ones counted together, the largest first.

    size, entries: bytes and number of entries of the input. outputs: storage addresses of what the pass returned.
    """
    found: dict[ExtraMemory, int] = {}
    for step in steps:
        copy = step.copy
        if copy is not None:
            kind = COPY if copy.source == copy.to else CAST
            one = ExtraMemory(
                kind, _operator(step.path), step.part, copy.bytes, copy.entries >= entries, 1, copy.shape, copy.source,
                copy.to,
            )  # fmt: skip
            found[one] = found.get(one, 0) + 1
    for step, at_the_end in follow_allocations(steps).blocks:
        operator = _operator(step.path)
        if operator not in COPYING_OPERATORS and not (at_the_end and step.pointer in outputs):
            one = ExtraMemory(TEMPORARY, operator, step.part, step.bytes, step.bytes >= size)
            found[one] = found.get(one, 0) + 1
    counted = (replace(one, count=count) for one, count in found.items() if one.bytes > SCALAR)
    return tuple(sorted(counted, key=lambda e: (not e.full, -e.bytes * e.count, e.kind, e.operator)))


def measure_memory(found: Subject, case: Case, part: str, device: Device = HOST) -> MemoryUse:
    """Peak memory of a forward ("forward") or of forward and backward ("both") on a case, with all extra memory.

    The peak is the device's own count, if it has one, else that of the allocations in the profile.
    Raises `CallError` for a subject that takes no torch tensors, `ValueError` for a backward alone.
    """
    layer = prepared_layer(found, case, "its memory is not measured")
    if part not in (FORWARD, BOTH):
        raise ValueError(f"memory is measured of {FORWARD!r} and of {BOTH!r}, not of {part!r}")
    run = passes_in_regions(layer, case, part)
    with quiet():
        run()  # the first call compiles, and fills caches that stay
        counted = device.peak(run)
        returned, steps = profile_call(run)
    history = follow_allocations(steps)
    outputs = storage_pointers(returned)
    own = storage_pointers(returned[:1])
    y = next((step.bytes for step, _ in history.blocks if step.pointer in own), 0)
    kept = max(0, history.left.get(FORWARD, 0) - y) if part == BOTH else 0
    size = case.x.size * itemsize(case.format)
    return MemoryUse(
        part,
        history.peak if counted is None else counted,
        required_bytes(found, case, part, device.allocation_block),
        kept,
        find_extras(steps, size, case.x.size, outputs),
    )


@dataclass(frozen=True, slots=True)
class MemoryVerdict:
    """Whether a pass holds more than is allowed ("more" or "within"), and a sentence with the reason."""

    verdict: str
    reason: str = ""


def judge_memory(found: MemoryUse, limit: float) -> MemoryVerdict:
    """The verdict of `--norm-max-memory R`: the peak may be R times the bytes needed.

    Counts have no noise, so there is no third verdict. Raises `ValueError` for a limit below 1, which no
    implementation can meet.
    """
    if not limit >= 1.0:
        raise ValueError(f"a limit of {limit:g} times what must be kept cannot be met; give 1 or more")
    if found.peak <= limit * found.needed:
        return MemoryVerdict(WITHIN)
    most = next((f"; the largest extra: {one}" for one in found.extras), "")
    return MemoryVerdict(
        MORE,
        f"{found.part} holds {found.peak} bytes at once, {found.ratio:.2f} times the {found.needed} that must be kept "
        f"({limit:g} allowed){most}",
    )
