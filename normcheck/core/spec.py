"""What entries of the catalog have in common in all families: the paper, and the row of Table 1.

Table 1 is that of Ba, Kiros and Hinton 2016, "Layer Normalization".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

COLUMN_NAMES = (
    "weight_matrix_rescaling",
    "weight_matrix_recentering",
    "weight_vector_rescaling",
    "dataset_rescaling",
    "dataset_recentering",
    "case_rescaling",
)
"""The six columns of Table 1, in the order in which the layer-norm paper prints them."""


REPARAMETRIZES, OF_BATCH, OF_LENGTH = "reparametrization", "independence_of_batch", "independence_of_length"


EXTENDED_NAMES = (REPARAMETRIZES, OF_BATCH, OF_LENGTH)
"""The columns beyond the six; each family has the ones that apply to it."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A cited source, with the place in it (section, equation or table)."""

    authors: str
    year: int
    title: str
    url: str
    place: str

    def __str__(self) -> str:
        return f"{self.authors} {self.year}, {self.place}"

    @property
    def short(self) -> str:
        """The first author and the year."""
        return f"{self.authors.partition(',')[0]} {self.year}"


class Entry(Protocol):
    """The attributes that every entry of the catalog has, in any family."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def paper(self) -> Paper: ...
    @property
    def formula(self) -> str: ...
    @property
    def note(self) -> str: ...
    @property
    def arguments(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table 1: whether the output is invariant under the transformation of each of the six columns."""

    cells: tuple[bool, ...]

    def __post_init__(self) -> None:
        if len(self.cells) != len(COLUMN_NAMES):
            raise ValueError(f"a row has {len(COLUMN_NAMES)} cells, not {len(self.cells)}")

    def __getitem__(self, column: str) -> bool:
        return self.cells[COLUMN_NAMES.index(column)]


def row(notation: str) -> Row:
    """A row from six words "yes" or "no", in the order of `COLUMN_NAMES`. Raises `ValueError` for any other notation.

    >>> row("yes yes no  yes no  yes")["case_rescaling"]
    True
    """
    words = notation.split()
    if set(words) - {"yes", "no"}:
        raise ValueError(f"a row is written with yes and no, not {notation!r}")
    return Row(tuple(word == "yes" for word in words))


@dataclass(frozen=True, slots=True)
class Printed:
    """A row as printed in a paper."""

    row: Row
    paper: Paper
