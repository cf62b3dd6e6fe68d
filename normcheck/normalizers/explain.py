"""The sections of a normalizer's page in `normcheck explain`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from normcheck.core.contract import CHOICES
from normcheck.core.page import Section, paper
from normcheck.core.spec import Row
from normcheck.normalizers import transforms
from normcheck.normalizers.composition import COMPOSITION, composed, steps
from normcheck.normalizers.faults.structure import weighted_activations
from normcheck.normalizers.normalizer import Normalizer

Names = Callable[[Normalizer, str], Iterable[str]]
"""The names under which code has a role of a normalizer."""


def sections(n: Normalizer, names_of: Names) -> Iterator[Section]:
    """The sections that only normalizers have; the note and how to run the checks are added to every page."""
    shared = " and ".join(sorted(n.sets.members))
    center = "the mean is subtracted" if n.centered else "no mean is subtracted"
    squares = "mean square" if n.mean_square else "sum of squares"
    scale = f"divided by the root of their {squares}" if n.scaled else "nothing is divided by"
    yield "formula", (n.formula, f"Entries along {shared} share a statistic; {center}; {scale}.")
    yield "paper", paper(n)
    yield "Table 1", tuple(_rows(n))
    yield "arguments", tuple(_arguments(n, names_of))
    yield "conventions", tuple(conventions(_without(n)))
    yield "accuracy", (_accuracy(n),)
    if composed(n):
        yield "composition", (f"exact-to={COMPOSITION} demands its bits: {', '.join(steps(n))}.",)


def _rows(n: Normalizer) -> Iterator[str]:
    row = transforms.derived_row(n)
    yield f"invariant to {named(row, True)}"
    yield f"not invariant to {named(row, False)}"
    for printed in n.printed:
        same = "the same" if printed.row == row else f"invariant to {named(printed.row, True)}"
        yield f"{printed.paper}: {same}"


def named(row: Row, yes: bool) -> str:
    """Titles of the columns of Table 1 whose cell is yes, or no, joined by commas."""
    titles = [column.title for column in transforms.COLUMNS if row[column.name] is yes]
    return ", ".join(titles) or "none of the six"


def _arguments(n: Normalizer, names_of: Names) -> Iterator[str]:
    yield "In torch's order; each may have any of these names, and any but the input may be missing."
    for role in n.arguments:
        yield f"{role}: {', '.join(dict.fromkeys((role, *names_of(n, role))))}"


def _without(n: Normalizer) -> set[str]:
    """Contract keys without a meaning for this normalizer."""
    scale = set() if n.scaled else {"variance", "running-variance", "eps-place"}
    scale |= set() if n.eps is not None else {"eps-format"}
    cast = set() if weighted_activations(n) else {"cast"}
    cast |= set() if composed(n) else {"exact-to"}
    cast |= set() if n.independent else {"batch-invariant"}
    cast |= {"form"} if n.acts_on == "weight" else set()
    return scale | cast | (set() if n.weight else {"weight"})


def conventions(without: Collection[str] = ()) -> Iterator[str]:
    """Lines for the conventions that a contract can declare; without: keys to leave out."""
    yield "--norm-contract KEY=VALUE, the default first."
    for key, choices in CHOICES.items():
        if key not in without:
            yield f"{key}: {', '.join(choices)}"


def _accuracy(n: Normalizer) -> str:
    forward, backward = n.narrow_accuracy
    return (
        f"float64 and float32: sound. bfloat16 and float16: {forward} forward, {backward} backward, the class that "
        "torch's function of this kind reaches on the CPU."
    )
