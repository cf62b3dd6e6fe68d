"""Path-normalized gradient descent (Neyshabur, Salakhutdinov, Srebro 2015), which torch does not ship."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class PathSGD(torch.optim.Optimizer):
    """w_e <- w_e - lr g_e / kappa_e, where kappa_e sums the products of the other squared weights over paths through e.

    params: the parameters of one feed-forward ReLU net in the order of its layers, input first; weights (outputs,
    inputs), each followed by its bias if it has one. A bias is an edge from a node that is always one. Groups may have
    learning rates of their own; the paths run through all of them, in the order of the groups.
    """

    def __init__(self, params: Iterable[Any], lr: float = 0.1) -> None:
        if lr < 0.0:
            raise ValueError(f"lr is {lr}; a learning rate is not negative")
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all parameters that have a gradient; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        held = [(p, group["lr"]) for group in self.param_groups for p in group["params"]]
        kappas = _kappas([p for p, _ in held])
        for (p, lr), kappa in zip(held, kappas, strict=True):
            if p.grad is not None:
                # an edge on no path of other weights has no gradient either: it stays
                p.sub_(torch.where(kappa > 0, lr * p.grad / kappa, 0.0))
        return loss


def _kappas(net: list[torch.Tensor]) -> list[torch.Tensor]:
    """kappa of each parameter: what arrives at the tails of its edges times what leaves their heads."""
    squares = [p.detach().square() for p in net]
    arrived = [squares[0].new_ones(squares[0].shape[1])]  # at the tail of each weight, then at each layer's nodes
    tails = []
    for square in squares:
        if square.ndim == 2:
            tails.append(arrived[-1])
            arrived.append(square @ arrived[-1])
        else:
            tails.append(torch.ones_like(square))
            arrived[-1] = arrived[-1] + square
    leaving = torch.ones_like(arrived[-1])
    out = []
    for square, tail in zip(reversed(squares), reversed(tails), strict=True):
        if square.ndim == 2:
            out.append(torch.outer(leaving, tail))
            leaving = square.T @ leaving
        else:
            out.append(leaving)
    return out[::-1]
