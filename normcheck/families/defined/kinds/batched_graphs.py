"""Normalizers of the nodes of several graphs: the input is (nodes, features), and a vector says whose each node is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from normcheck.core.spec import row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.graphs import graph_norm, pair_norm
from normcheck.families.defined.kinds.parts import centered, length, mean

Mean = Callable[[Any], Any]
"""From numbers of nodes, (nodes, ...), to the mean over the graph of each node, in its place."""


def _graphs(batch: Any, batch_size: int) -> list[Any]:
    """Which nodes are in each graph, as booleans; one that has no nodes is left out."""
    return [nodes for nodes in (batch == graph for graph in range(batch_size)) if nodes.any()]


def _of_each(x: Any, batch: Any, batch_size: int, forward: Callable[[Any], Any]) -> Any:
    """A function of the nodes of one graph, applied to each: the vector is in ascending order."""
    return np.concatenate([forward(x[nodes]) for nodes in _graphs(batch, batch_size)])


def _sums(batch: Any, batch_size: int, counted: Callable[[int, list[int]], int] = lambda i, sizes: sizes[i]) -> Mean:
    """Means with another divisor; counted: from the place of a graph and the sizes of all, of those that have nodes."""
    every = _graphs(batch, batch_size)
    sizes = [int(nodes.sum()) for nodes in every]

    def of(x: Any) -> Any:
        means = [x[nodes].sum(axis=0, keepdims=True) / float(counted(i, sizes)) for i, nodes in enumerate(every)]
        return np.concatenate([np.repeat(one, size, axis=0) for one, size in zip(means, sizes, strict=True)])

    return of


def _of_all(batch: Any, batch_size: int) -> Mean:
    return lambda x: mean(x, 0)


def _divided_by_first(batch: Any, batch_size: int) -> Mean:
    return _sums(batch, batch_size, lambda i, sizes: sizes[0])


def _divided_by_largest(batch: Any, batch_size: int) -> Mean:
    return _sums(batch, batch_size, lambda i, sizes: max(sizes))


def _behind_empty(batch: Any, batch_size: int) -> Mean:
    """Means of the graphs that have nodes, read by the number of a graph as if none were empty."""
    every = _graphs(batch, batch_size)
    numbers = [graph for graph in range(batch_size) if (batch == graph).any()]
    read = [every[min(number, len(every) - 1)] for number in numbers]

    def of(x: Any) -> Any:
        pairs = zip(read, every, strict=True)
        return np.concatenate([np.repeat(mean(x[nodes], 0), int(own.sum()), axis=0) for nodes, own in pairs])

    return of


def _graph_by(means: Callable[[Any, int], Mean]) -> Callable[..., Any]:
    def forward(x: Any, batch: Any, weight: Any, bias: Any, mean_scale: Any, batch_size: int, eps: float) -> Any:
        of = means(batch, batch_size)
        c = x - mean_scale * of(x)
        return c / np.sqrt(of(np.square(c)) + eps) * weight + bias

    return forward


def _pair_by(means: Callable[[Any, int], Mean]) -> Callable[..., Any]:
    def forward(x: Any, batch: Any, scale: float, batch_size: int, eps: float) -> Any:
        of = means(batch, batch_size)
        c = x - of(x)
        return scale * c / np.sqrt(of(np.square(c).sum(axis=-1, keepdims=True)) + eps)

    return forward


def _graph(x: Any, batch: Any, weight: Any, bias: Any, mean_scale: Any, batch_size: int = 4, eps: float = 1e-5) -> Any:
    def of_one(nodes: Any) -> Any:
        return graph_norm.forward(nodes, weight, bias, mean_scale, eps)

    return _of_each(x, batch, batch_size, of_one)


def _pair(x: Any, batch: Any, scale: float = 1.0, batch_size: int = 4, eps: float = 1e-5) -> Any:
    return _of_each(x, batch, batch_size, lambda nodes: pair_norm.forward(nodes, scale, eps))


_NOTE = (
    "x is (nodes, features) of several graphs, batch the number of the graph of each node in ascending order, as in "
    "PyTorch Geometric; some graph is empty. Code that takes no batch_size finds it from batch. "
)

batched_graph_norm = DefinedNormalizer(
    name="batched_graph_norm",
    title="GraphNorm of several graphs, told apart by a batch vector",
    paper=graph_norm.paper,
    formula="y = c / sqrt(mean(c^2) + eps) weight + bias, c = x - mean_scale mean(x), means over the nodes of the "
    "graph that batch names",
    ranks=(2,),
    forward=_graph,
    groups={"batch": "batch_size"},
    options={"batch_size": (4, 3, 5), "eps": (1e-5, 0.5)},
    derived=row("yes no  yes yes no  no"),
    note=_NOTE + "The authors' code takes the numbers of nodes, for batch; graph_norm is that of one graph.",
    slips=(
        Slip("batched-graph-over-all-nodes", "Takes means over the nodes of all graphs.", _graph_by(_of_all)),
        Slip(
            "batched-graph-count-of-first",
            "Divides the sums of every graph by the nodes of the first one.",
            _graph_by(_divided_by_first),
        ),
        Slip(
            "batched-graph-padding-counted",
            "Divides by the nodes of the largest graph, to which the others are padded.",
            _graph_by(_divided_by_largest),
        ),
        Slip(
            "batched-graph-shifted-by-empty",
            "Counts only graphs that have nodes: behind an empty one, nodes get the means of the next graph.",
            _graph_by(_behind_empty),
        ),
        Slip(
            "batched-graph-mean-of-all",
            "Takes the mean over the nodes of all graphs, and the root of each graph by itself.",
            lambda x, batch, weight, bias, mean_scale, batch_size, eps: _graph(
                x - mean_scale * mean(x, 0), batch, weight, bias, 0.0, batch_size, eps
            ),
        ),
    ),
)

batched_pair_norm = DefinedNormalizer(
    name="batched_pair_norm",
    title="PairNorm of several graphs, told apart by a batch vector",
    paper=pair_norm.paper,
    formula="y = scale c / sqrt(mean(|c|^2) + eps), c = x - mean(x), means over the nodes of the graph that batch "
    "names, |c| the length of a node's features",
    ranks=(2,),
    forward=_pair,
    groups={"batch": "batch_size"},
    options={"scale": (1.0, 2.5), "batch_size": (4, 4, 3, 5), "eps": (1e-5, 0.5, 0.5)},
    derived=row("yes no  no  yes yes no"),
    note=_NOTE + "PyTorch Geometric's option scale_individually, each node by its own length, is another function; "
    "pair_norm is that of one graph.",
    slips=(
        Slip("batched-pair-over-all-nodes", "Takes means over the nodes of all graphs.", _pair_by(_of_all)),
        Slip(
            "batched-pair-count-of-first",
            "Divides the sums of every graph by the nodes of the first one.",
            _pair_by(_divided_by_first),
        ),
        Slip(
            "batched-pair-padding-counted",
            "Divides by the nodes of the largest graph, to which the others are padded.",
            _pair_by(_divided_by_largest),
        ),
        Slip(
            "batched-pair-shifted-by-empty",
            "Counts only graphs that have nodes: behind an empty one, nodes get the means of the next graph.",
            _pair_by(_behind_empty),
        ),
        Slip(
            "batched-pair-one-distance",
            "Subtracts the mean of each graph, and divides by one mean distance of all.",
            lambda x, batch, scale, batch_size, eps: (
                scale
                * _of_each(x, batch, batch_size, lambda nodes: centered(nodes, 0))
                / np.sqrt(
                    mean(np.square(length(_of_each(x, batch, batch_size, lambda v: centered(v, 0)), -1)), 0) + eps
                )
            ),
        ),
    ),
)

ENTRIES = (batched_graph_norm, batched_pair_norm)
