"""The catalog: rows as papers print them, rows derived from the choice of sets, sources that can be looked up."""

from __future__ import annotations

import re

import pytest

from normcheck import families
from normcheck.core.errors import UsageError
from normcheck.core.spec import COLUMN_NAMES, Row, row
from normcheck.frameworks.roles import NAMES
from normcheck.normalizers import catalog
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.transforms import COLUMNS, derived_row, holds

PRINTED = [(n.name, i) for n in catalog.ALL.values() for i in range(len(n.printed))]

ON_VECTORS = {
    "batch_norm": "yes no  yes yes yes no",
    "layer_norm": "yes yes no  yes no  yes",
    "rms_norm": "yes no  no  yes no  yes",
    "partial_rms_norm": "yes no  no  yes no  yes",
    "group_norm": "yes yes no  yes no  yes",
    "weight_norm": "yes no  yes no  no  no",
    "mean_only_batch_norm": "no  no  no  no  yes no",
}
"""Table 1 on inputs (cases, units), with two groups; worked out by hand. Instance norm has no meaning there."""

ON_MAPS = {
    "batch_norm": "yes no  yes yes yes no",
    "layer_norm": "yes yes no  yes no  yes",  # statistics at each position
    "rms_norm": "yes no  no  yes no  yes",
    "partial_rms_norm": "yes no  no  yes no  yes",
    "group_norm": "yes no  no  yes no  yes",
    "instance_norm": "yes no  yes yes yes yes",
    "weight_norm": "yes no  yes no  no  no",
    "mean_only_batch_norm": "no  no  no  no  yes no",
}
"""The same on maps (cases, units, positions)."""


@pytest.mark.parametrize(("kind", "i"), PRINTED)
def test_printed_rows_are_the_derived_ones(kind: str, i: int) -> None:
    """What a paper prints follows from which entries share a statistic."""
    assert families.get(kind).printed[i].row == derived_row(families.get(kind))


def test_every_row_of_the_two_papers_is_there() -> None:
    """The layer-norm paper prints three rows, the RMSNorm paper the same three and two more."""
    by_paper: dict[str, set[str]] = {}
    for kind, i in PRINTED:
        by_paper.setdefault(str(families.get(kind).printed[i].paper), set()).add(kind)

    assert by_paper == {
        "Ba, Kiros, Hinton 2016, Table 1": {"batch_norm", "weight_norm", "layer_norm"},
        "Zhang, Sennrich 2019, Table 1": {
            "batch_norm", "weight_norm", "layer_norm", "rms_norm", "partial_rms_norm",
        },
    }  # fmt: skip


@pytest.mark.parametrize("kind", ON_VECTORS)
def test_rows_on_vectors(kind: str) -> None:
    """On vectors the derived row is the one worked out by hand."""
    assert derived_row(families.get(kind), spatial=False) == row(ON_VECTORS[kind])


@pytest.mark.parametrize("kind", ON_MAPS)
def test_rows_on_maps(kind: str) -> None:
    """On maps the derived row is the one worked out by hand."""
    assert derived_row(families.get(kind), spatial=True) == row(ON_MAPS[kind])


@pytest.mark.parametrize("kind", catalog.ALL)
def test_every_entry_has_a_row_worked_out_by_hand(kind: str) -> None:
    """A new entry needs its row in this file, on what Table 1 is measured on for it."""
    by_hand = ON_MAPS if families.get(kind).spatial else ON_VECTORS

    assert kind in by_hand
    assert derived_row(families.get(kind)) == row(by_hand[kind])


@pytest.mark.parametrize("kind", catalog.ALL)
def test_every_entry_can_be_looked_up(kind: str) -> None:
    """An entry names its paper with a link and the place in it, its formula, and the arguments of its function."""
    entry = families.get(kind)

    assert entry.name == kind
    assert re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{5}", entry.paper.url)
    assert re.search(r"(eq\.|sec\.|section|Table|Algorithm) \d", entry.paper.place)
    assert entry.paper.authors
    assert entry.paper.title
    assert 2010 <= entry.paper.year <= 2030
    assert " = " in entry.formula
    assert entry.title
    assert entry.note
    assert entry.arguments[0] == "input"


@pytest.mark.parametrize("kind", catalog.ALL)
def test_arguments_are_known_roles(kind: str) -> None:
    """The adapters know names for every argument of every entry, and what the entry has is among them."""
    entry = families.get(kind)

    assert set(entry.arguments) <= set(NAMES)
    assert len(set(entry.arguments)) == len(entry.arguments)
    assert entry.bias == ("bias" in entry.arguments)
    assert entry.state == ({*entry.kept, "momentum"} <= set(entry.arguments))
    assert ("running_var" in entry.arguments) == (entry.state and entry.scaled)
    assert entry.partial == ("p" in entry.arguments)
    assert (entry.eps is not None) == ("eps" in entry.arguments)


@pytest.mark.parametrize("kind", catalog.ALL)
def test_demanded_accuracy_is_a_known_class(kind: str) -> None:
    """The classes that an entry demands below float32, forward and backward, exist."""
    assert set(families.get(kind).narrow_accuracy) <= set(bounds.CLASSES)


@pytest.mark.parametrize(("kind", "hint"), [
    ("layernorm", "did you mean 'layer_norm'?"),
    ("LayerNorm", "did you mean 'layer_norm'?"),
    ("batchnorm", "did you mean 'batch_norm'?"),
    ("rmsnorm", "did you mean 'rms_norm'?"),
    ("weightnorm", "did you mean 'weight_norm'?"),
])  # fmt: skip
def test_unknown_kind_suggests_the_nearest(kind: str, hint: str) -> None:
    """A misspelled kind is answered with the nearest one."""
    with pytest.raises(UsageError) as raised:
        families.get(kind)

    assert str(raised.value) == f"unknown kind {kind!r}; {hint}"


def test_unknown_kind_lists_all_where_none_is_near() -> None:
    """A word that resembles none is answered with all kinds."""
    with pytest.raises(UsageError) as raised:
        families.get("zzz")

    assert str(raised.value) == "unknown kind 'zzz'; known: " + ", ".join(sorted(families.ENTRIES))


def test_columns_are_those_of_the_paper() -> None:
    """The six columns come in the order in which the paper prints them, each with its law."""
    assert [column.title for column in COLUMNS] == [
        "weight matrix re-scaling",
        "weight matrix re-centering",
        "weight vector re-scaling",
        "dataset re-scaling",
        "dataset re-centering",
        "single training case re-scaling",
    ]
    assert all(column.law.endswith("= y(W, x; eps)") for column in COLUMNS)
    assert all((column.factor is not None) == (column.kind == "scale") for column in COLUMNS)


def test_holds_reads_a_cell() -> None:
    """A cell of the derived row is what `holds` says of its column."""
    for entry in catalog.ALL.values():
        cells = derived_row(entry, spatial=False)
        for column in COLUMNS:
            assert cells[column.name] == holds(entry, column, spatial=False)


def test_a_row_has_six_cells() -> None:
    """A row of another length, or of other words, is refused."""
    with pytest.raises(ValueError, match="a row has 6 cells, not 5"):
        row("yes yes yes yes yes")
    with pytest.raises(ValueError, match="a row is written with yes and no"):
        row("yes yes yes yes yes maybe")

    assert row("yes no yes no yes no") == Row((True, False, True, False, True, False))
    assert len(COLUMN_NAMES) == 6
