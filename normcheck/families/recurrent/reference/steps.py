"""How a recurrent net is unrolled: the parts that a fault replaces, and what each operation may lose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from normcheck.core.floats import Array
from normcheck.families.recurrent.reference.cells import Cell
from normcheck.normalizers.reference import standardize
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps


def _unchanged(value: Array, *_: object) -> Array:
    return value


def _xh(saved: Saved, k: Setting) -> Array:
    return saved.xh


@dataclass(frozen=True, slots=True)
class Rounding:
    """What each operation may lose, for runs with perturbed operations; by default nothing.

    dot: a product x w^T, given x and w. small: a handful of operations on values of a size. statistic: a mean or a
    variance of values of a size. normalized: xh of a norm. pulled: dx of a norm's backward, given what it is made of.
    """

    dot: Callable[[Array, Array, Array], Array] = _unchanged
    small: Callable[[Array, Array], Array] = _unchanged
    statistic: Callable[[Array, Array, Setting], Array] = _unchanged
    normalized: Callable[[Saved, Setting], Array] = _xh
    pulled: Callable[[Array, Saved, Array, Setting], Array] = _unchanged


def _gates(cell: Cell) -> tuple[str, ...]:
    return cell.gates


def _rows(live: Array) -> Array:
    """The cases from which a statistic is taken."""
    return live


def _slot(step: int, slots: int) -> int:
    """The statistics that a step has: its own, or the last ones beyond them."""
    return min(step, slots - 1)


def _whole(step: int) -> float:
    """The share of the gradient that goes from a step to the one before."""
    return 1.0


@dataclass(frozen=True)
class RecurrentSteps:
    """How a net is unrolled; a fault replaces a part."""

    steps: Steps = Steps(compute=standardize.exactly)  # noqa: RUF009  # frozen value
    elsewhere: Steps = Steps(compute=standardize.exactly)  # noqa: RUF009  # those of the norms in other places
    places: tuple[str, ...] | None = None  # where `steps` hold; None: in all norms
    gates: Callable[[Cell], tuple[str, ...]] = _gates
    rows: Callable[[Array], Array] = _rows
    blank: bool = False  # cases without input are set to 0, and statistics are taken from them too
    slot: Callable[[int, int], int] = _slot  # from which a step reads in evaluation
    stored: Callable[[int, int], int] = _slot  # to which a step writes in training
    back: Callable[[int], float] = _whole  # through the state
    cell_back: Callable[[int], float] = _whole  # through the cell
    blocks: tuple[int, ...] | None = None  # of a layer norm; None: those of the entry's cell
    carried: bool = False  # the cell goes on as it was normalized
    keeps: float = 1.0  # sign of the update gate of a GRU: -1 where it lets the candidate in
    rounding: Rounding = Rounding()  # frozen value
    samples: int = 1
