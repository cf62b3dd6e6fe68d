"""The optimizers of the catalog: how each divides the gradient of an edge."""

from __future__ import annotations

from dataclasses import dataclass

from normcheck.core.spec import Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class PathOptimizer:
    """One optimizer: its paper, its formula, and the arguments of its implementations."""

    name: str
    title: str
    paper: Paper
    formula: str
    note: str = ""
    arguments: tuple[str, ...] = ("params", "lr")


ENTRIES = (
    PathOptimizer(
        name="path_sgd",
        title="path-normalized gradient descent (Path-SGD)",
        paper=Paper(
            "Neyshabur, Salakhutdinov, Srebro", 2015, "Path-SGD: Path-Normalized Optimization in Deep Neural Networks",
            "https://arxiv.org/abs/1506.02617", "Algorithm 1, p = 2",
        ),
        formula="w_e = w_e - lr g_e / kappa_e, kappa_e = sum over paths through e of the product of the other squared "
        "weights",
        note="The paper's p is 2. Its nets have no bias; one that there is is an edge from a node that is always one, "
        "and moves by lr g / kappa; whether kappa of a weight counts the paths from biases is not asked. The paper "
        "does not say what an edge with kappa 0 does: its gradient is 0 too, so it must not become NaN.",
    ),
)  # fmt: skip
"""Every optimizer of this family."""
