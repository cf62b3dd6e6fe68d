"""The least that an operation must move and compute: bytes, floating-point operations, arithmetic intensity.

Every input is read once and every output is written once, whatever the algorithm (the compulsory traffic of Williams,
Waterman, Patterson 2009, "Roofline", section 3). Statistics are not counted: code that reads x can compute them again.
A set that does not fit into fast memory is read twice, because its first output needs its last entry: at the second
reading, at most as many of its n entries as fit are still there (after Hong, Kung 1981, "I/O complexity: the red-blue
pebble game"). Operations are counted on the formulas of the reference, once for each entry; work per set is not
counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from normcheck.core.floats import Array, Format
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer, Partition

FORWARD, BACKWARD, BOTH = "forward", "backward", "both"
PASSES = (FORWARD, BACKWARD, BOTH)


@dataclass(frozen=True, slots=True)
class DataMovement:
    """One tensor read, or written if `written`, once. reread: a second reading of what fast memory could not hold."""

    name: str
    bytes: int
    written: bool = False
    reread: bool = False


@dataclass(frozen=True, slots=True)
class Traffic:
    """The least that one pass moves, and the floating-point operations of its formulas."""

    moves: tuple[DataMovement, ...]
    flops: int

    @property
    def bytes(self) -> int:
        """Bytes read and written."""
        return sum(move.bytes for move in self.moves)

    @property
    def read(self) -> int:
        """Bytes read."""
        return sum(move.bytes for move in self.moves if not move.written)

    @property
    def written(self) -> int:
        """Bytes written."""
        return sum(move.bytes for move in self.moves if move.written)

    @property
    def intensity(self) -> float:
        """Operations per byte moved; 0 if nothing is moved."""
        return self.flops / self.bytes if self.bytes else 0.0

    @property
    def working_set(self) -> int:
        """Bytes of storage that are touched: every tensor once, however often it is moved."""
        once = {move.name: move.bytes for move in self.moves if not move.reread}
        return sum(once.values())


def itemsize(format: Format) -> int:
    """Bytes of one number: sign and exponent bits follow from the smallest normal number, 2 ** (2 - 2 ** (e - 1)).

    >>> from normcheck.core.floats import FORMATS
    >>> [itemsize(format) for format in FORMATS.values()]
    [8, 4, 2, 2]
    """
    return ((2 - format.smallest).bit_length() + format.digits) // 8


@dataclass(frozen=True, slots=True)
class _TrafficInputs:
    """The properties of a normalizer and a case that determine the traffic."""

    part: Partition
    item: int  # bytes of an entry
    weight: int  # entries of the weight, 0 without one
    bias: int
    centered: bool
    scaled: bool
    own_statistics: bool  # statistics come from the input; else running statistics are read
    fraction_read: float  # the part of a set's entries that the statistic reads
    through: tuple[bool, bool]  # whether the gradient passes through the mean and through the square
    state: int  # numbers of running statistics
    fast: int | None

    @property
    def entries(self) -> int:
        return self.part.sets * self.part.n

    @property
    def wants_x(self) -> bool:
        """Whether the backward reads the input (or the output, which is as large)."""
        return self.through[1] or (self.scaled and self.weight > 0)

    def reread(self, name: str, tensors: int) -> DataMovement:
        """The second reading of sets that fast memory does not hold."""
        size = int(self.part.n * self.fraction_read) * self.item * tensors
        left = 0 if self.fast is None else max(0, size - self.fast)
        return DataMovement(name, self.part.sets * left, reread=True)


def _count(values: Array | None) -> int:
    return 0 if values is None else int(values.size)


def _traffic_inputs(normalizer: Normalizer, case: Case, through: tuple[int, int], fast: int | None) -> _TrafficInputs:
    part = normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim)
    own_statistics = case.training or not normalizer.state
    scaled = normalizer.scaled
    return _TrafficInputs(
        part=part,
        item=itemsize(case.format),
        weight=_count(case.weight),
        bias=_count(case.bias),
        centered=normalizer.centered,
        scaled=scaled,
        own_statistics=own_statistics,
        fraction_read=case.part,
        through=(
            own_statistics and normalizer.centered and bool(through[0]),
            own_statistics and scaled and bool(through[1]),
        ),
        state=_count(case.running_mean) + (_count(case.running_var) if scaled else 0),
        fast=fast,
    )


def _forward(f: _TrafficInputs) -> Iterator[DataMovement]:
    x = f.entries * f.item
    yield DataMovement("x", x)
    if f.own_statistics:
        yield f.reread("x", 1)
    yield DataMovement("weight", f.weight * f.item)
    yield DataMovement("bias", f.bias * f.item)
    yield DataMovement("running statistics", f.state * f.item)
    if f.own_statistics:
        yield DataMovement("running statistics", f.state * f.item, written=True)
    yield DataMovement("y", x, written=True)


def _backward(f: _TrafficInputs) -> Iterator[DataMovement]:
    x = f.entries * f.item
    yield DataMovement("dy", x)
    if f.wants_x:
        yield DataMovement("x", x)
    elif f.scaled:
        yield DataMovement("statistics", f.part.sets * f.item)
    if any(f.through):
        yield f.reread("dy", 1 + f.wants_x)
    yield DataMovement("weight", f.weight * f.item)
    yield DataMovement("dx", x, written=True)
    yield DataMovement("dweight", f.weight * f.item, written=True)
    yield DataMovement("dbias", f.bias * f.item, written=True)


def _flops_forward(f: _TrafficInputs) -> float:
    mean = (2.0 if f.own_statistics else 1.0) * f.centered
    square = (2.0 * f.fraction_read * f.own_statistics + 1.0) * f.scaled
    return mean + square + (f.weight > 0) + (f.bias > 0)


def _flops_backward(f: _TrafficInputs) -> float:
    a, b = f.through
    standard = (1.0 + f.centered) * f.wants_x
    dx = (f.weight > 0) + 2.0 * a + (2.0 + 2.0 * f.fraction_read) * b + f.scaled
    return standard + dx + 2.0 * (f.weight > 0) + (f.bias > 0)


def traffic(
    normalizer: Normalizer, case: Case, part: str, through: tuple[int, int] = (1, 1), fast: int | None = None
) -> Traffic:
    """The least traffic of one pass over a case.

    part: "forward", "backward" or "both"; the backward computes the gradients of all tensors that the case has.
    through: whether the claimed gradient passes through mean and variance (`Contract.through`).
    fast: bytes of fast memory; None: unlimited, so nothing is read twice.
    """
    f = _traffic_inputs(normalizer, case, through, fast)
    moves: tuple[DataMovement, ...] = ()
    flops = 0.0
    if part in (FORWARD, BOTH):
        moves, flops = (*moves, *_forward(f)), flops + _flops_forward(f)
    if part in (BACKWARD, BOTH):
        moves, flops = (*moves, *_backward(f)), flops + _flops_backward(f)
    return Traffic(tuple(move for move in moves if move.bytes), round(flops * f.entries))
