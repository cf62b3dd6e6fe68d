"""What a defined kind may say of its parameters beside their shape: groups of cases, and what code may leave out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from normcheck.core.errors import UsageError
from normcheck.families.defined import reference
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.kinds.batched_graphs import batched_graph_norm, batched_pair_norm
from normcheck.families.defined.kinds.divisive import divisive_norm
from normcheck.families.defined.kinds.graphs import graph_norm, pair_norm
from normcheck.families.defined.space import DefinedDraw, defined_case, network_case


@pytest.mark.parametrize("recipe", [defined_case, network_case])
def test_groups_are_in_order_and_one_is_empty(recipe: Any) -> None:
    """The first, the last and one between are empty in some cases."""
    empty = set()
    for seed in range(40):
        case = recipe(batched_graph_norm, DefinedDraw(seed=seed, cases=6 if seed % 2 else 12))
        batch, count = case.arrays["batch"], case.constants["batch_size"]
        present = np.unique(batch)

        assert np.all(np.diff(batch) >= 0)
        assert batch.shape == case.x.shape[:1]
        assert set(present) < set(range(count))
        assert len(present) == count - 1
        empty |= set(range(count)) - {int(graph) for graph in present}

    assert empty == {0, 1, 2, 3}


@pytest.mark.parametrize(("batched", "single"), [(batched_graph_norm, graph_norm), (batched_pair_norm, pair_norm)])
def test_each_graph_is_as_if_alone(batched: DefinedNormalizer, single: DefinedNormalizer) -> None:
    case = defined_case(batched, DefinedDraw(seed=3, cases=12))
    y, batch = reference.output(batched, case), case.arrays["batch"]
    others = {name: value for name, value in case.arrays.items() if name != "batch"}
    constants = {name: value for name, value in case.constants.items() if name != "batch_size"}
    for graph in np.unique(batch):
        alone = case.but(x=case.x[batch == graph], arrays=others, constants=constants)

        assert np.array_equal(reference.output(single, alone), y[batch == graph])


def test_groups_are_not_trained() -> None:
    case = defined_case(batched_graph_norm, DefinedDraw())

    assert batched_graph_norm.trained == ("weight", "bias", "mean_scale")
    assert "batch" not in reference.answer(batched_graph_norm, case).gradients


def test_what_code_leaves_out_is_neutral_and_nothing_else_changes() -> None:
    full, without = (defined_case(divisive_norm, DefinedDraw(seed=3, without=word)) for word in ("", "bias+weight"))
    right = (reference.output(divisive_norm, full) - full.arrays["bias"][:, None, None]) / full.arrays["weight"][
        :, None, None
    ]

    assert np.array_equal(full.x, without.x)
    assert np.array_equal(full.dy, without.dy)
    assert np.all(without.arrays["weight"] == 1.0)
    assert np.all(without.arrays["bias"] == 0.0)
    assert np.allclose(reference.output(divisive_norm, without), right, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"groups": {"batch": "count"}}, "no parameter count with a default"),
        ({"groups": {"graph": "graphs"}}, "no parameter graph without a default"),
        ({"neutral": {"bias": 0.0}}, "no parameter bias without a default"),
    ],
)
def test_groups_and_neutral_values_are_of_parameters(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(batched_pair_norm, **changes)
