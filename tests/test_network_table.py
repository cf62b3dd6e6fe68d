"""The table of the field: its cells are those derived by hand, its forms agree, and the page in docs is not stale."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from normcheck import families
from normcheck.cli import run
from normcheck.core.network_table import COLUMNS, REFLECTION, NetworkFunction, row
from normcheck.core.spec import COLUMN_NAMES, OF_BATCH
from normcheck.engine.network_table import record
from normcheck.report.network_table import FORMS, latex, markdown, page, text

PAGE = Path(__file__).parents[1] / "docs" / "table.md"

BEYOND = ("case_shift", "unit_shift", "case_permutation", "unit_permutation", "rotation", "sign", "idempotence",
          OF_BATCH, "affine")  # fmt: skip

DERIVED = {
    "batch_norm": ". yes yes yes . yes yes . .",
    "layer_norm": "yes . yes yes . yes yes yes .",
    "weight_norm": "- - yes yes - yes - yes yes",
    "rms_norm": ". . yes yes yes yes yes yes .",
    "partial_rms_norm": ". . yes . . yes yes yes .",
    "group_norm": "yes . yes . . yes yes yes .",
    "instance_norm": "yes yes yes yes . yes yes yes .",
    "zca_whitening": ". yes yes yes yes yes yes . .",
    "cholesky_whitening": ". yes yes . . yes yes . .",
    "iter_norm": ". yes yes yes yes yes . . .",
    "scale_norm": ". . yes yes yes yes yes yes .",
    "dynamic_tanh": ". . yes yes . yes . yes .",
    "cosine_norm": "- - yes yes - yes - yes .",
    "positional_norm": "yes . yes yes . yes yes yes .",
    "filter_response_norm": ". . yes yes . . . yes .",
    "evonorm_s0": ". . yes . . . . yes .",
    "evonorm_b0": ". . yes yes . . . . .",
    "local_response_norm": ". . yes . . yes . yes .",
    "switchable_norm": ". . yes yes . yes . . .",
    "ghost_batch_norm": ". yes . yes . yes yes . .",
    "l1_batch_norm": ". yes yes yes . yes yes . .",
    "virtual_batch_norm": ". . yes . . . . yes .",
    "streaming_batch_norm": ". . yes yes . . . . .",
    "power_norm_v": ". . yes yes . yes yes . .",
    "power_norm": ". . yes yes yes yes . yes yes",
    "local_context_norm": "yes . yes . . yes . yes .",
    "centered_weight_norm": "- - yes yes - yes - yes yes",
    "spectral_norm": "- - yes yes - yes - yes yes",
    "weighted_l2_norm": ". . yes yes yes yes yes yes .",
    "sandwich_norm": "yes . . . . . . yes .",
    "divisive_norm": ". . yes yes . yes . yes .",
    "batched_graph_norm": ". . . yes . yes . . .",
    "batched_pair_norm": ". yes . yes yes yes yes . .",
    "orthogonal_parametrization": "- - yes . - . - yes yes",
}
"""Columns beyond Table 1, derived by hand, in the order of `BEYOND`; - where a column means nothing."""


@lru_cache(maxsize=1)
def whole() -> dict[str, Any]:
    return record()


def cells(kind: str) -> dict[str, Any]:
    (found,) = [one["cells"] for one in whole()["rows"] if one["kind"] == kind]
    return {name: cell["holds"] for name, cell in found.items()}


@pytest.mark.parametrize("kind", [entry.name for family in families.FAMILIES for entry in family.entries
                                  if family.network(entry) is not None])  # fmt: skip
def test_table_1_is_as_derived(kind: str) -> None:
    """The six columns agree with the row that the entry has, and with every printed one."""
    entry = families.get(kind)
    expected = getattr(entry, "derived", None) or families.of(entry).row(entry)
    found = cells(kind)

    assert expected is not None
    assert [found[name] for name in COLUMN_NAMES] == list(expected.cells)
    assert all(printed.row == expected for printed in families.printed(entry))


@pytest.mark.parametrize("kind", DERIVED)
def test_columns_beyond_are_as_derived(kind: str) -> None:
    words = {True: "yes", False: ".", None: "-"}
    assert " ".join(words[cells(kind).get(name)] for name in BEYOND) == DERIVED[kind]


def test_no_cell_is_undecided_and_each_has_its_tries() -> None:
    """Each yes says how near it came to its bound, each no where it departs."""
    for one in whole()["rows"]:
        for name, cell in one["cells"].items():
            assert cell["holds"] is not None, (one["kind"], name)
            assert cell["tries"] == 3, (one["kind"], name)
            assert float(cell["ratio"]) <= 1.0 if cell["holds"] else "departs" in cell["witness"]


def test_the_page_is_not_stale() -> None:
    """`normcheck table --markdown` prints docs/table.md."""
    assert PAGE.read_text(encoding="utf-8") == markdown(whole())


def test_forms_have_every_cell() -> None:
    rows, columns = len(whole()["rows"]), len(COLUMNS)
    table = latex(whole())

    assert all(len(line) <= 80 for line in text(whole()).splitlines())
    assert markdown(whole()).count("| printed |") == sum(one["printed"] for one in whole()["rows"])
    assert table.count(r"\\" + "\n") == rows + 1
    assert all(line.count(" & ") == columns for line in table.splitlines() if line.startswith("batch"))
    assert page(whole()).count("<tr>") == rows + 1
    assert json.loads(FORMS["json"](whole()))["rows"][0]["cells"]["sign"]["tries"] == 3


def test_a_callable_without_an_entry_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["table", "--of", "torch.nn.functional:layer_norm", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["rows"]
    assert {name: cell["holds"] for name, cell in one["cells"].items()} == cells("layer_norm")


def test_one_row_in_latex(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["table", "--latex", "rms_norm"]) == 0
    said = capsys.readouterr().out
    assert said.count(r"rms\_norm") == 1
    assert "layer" not in said


def test_a_wrong_network_has_another_row() -> None:
    """A plain linear layer has none of the six, and is rotated, folded and idempotent."""

    def linear(data: Any, weights: Any) -> tuple[Any, Any]:
        y = (data @ weights.T).swapaxes(1, 2)
        return y, 0.0 * y + 1e-9

    found = {name: cell.holds for name, cell in row(NetworkFunction(linear)).items()}

    assert [found[name] for name in COLUMN_NAMES] == [False] * 6
    assert all(found[name] for name in ("rotation", "affine", "idempotence", OF_BATCH))
    assert abs(REFLECTION @ REFLECTION.T - [[float(i == j) for j in range(4)] for i in range(4)]).max() == 0.0
