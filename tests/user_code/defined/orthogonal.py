"""Orthogonal weights by the Cayley map: right in three styles, and wrong."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations


def square(weight):
    n = weight.shape[0]
    return F.pad(weight, (0, n - weight.shape[1]))


def by_inverse(weight):
    """(I + A)^-1 (I - A) of all entries, by an inverse."""
    if weight.shape[0] < weight.shape[1]:
        return by_inverse(weight.T).T
    a = square(weight)
    a = a - a.T
    one = torch.eye(len(a), dtype=a.dtype)
    return (torch.inverse(one + a) @ (one - a))[:, : weight.shape[1]]


class CayleyLinear(nn.Linear):
    """A layer whose weight is orthogonal: (I + A) (I - A)^-1 of the upper triangle."""

    def forward(self, x):
        v = self.weight if self.out_features >= self.in_features else self.weight.T
        a = square(v).triu(1)
        a = a - a.T
        one = torch.eye(len(a), dtype=a.dtype)
        q = torch.linalg.solve((one - a).T, (one + a).T).T[:, : v.shape[1]]
        return F.linear(x, q if v is self.weight else q.T, self.bias)


def half_solved(weight):
    """As torch has it."""
    if weight.shape[0] < weight.shape[1]:
        return half_solved(weight.T).T
    a = square(weight.tril(-1))
    a = a - a.T
    one = torch.eye(len(a), dtype=a.dtype)
    q = torch.linalg.solve(2 * one - a, 2 * one + a)
    return q[:, : weight.shape[1]]


def symmetric(weight):
    if weight.shape[0] < weight.shape[1]:
        return symmetric(weight.T).T
    a = square(weight.tril())
    a = (a + a.T) / 2
    one = torch.eye(len(a), dtype=a.dtype)
    return torch.linalg.solve(one - a, one + a)[:, : weight.shape[1]]


def series(weight):
    if weight.shape[0] < weight.shape[1]:
        return series(weight.T).T
    a = square(weight.tril())
    a = (a - a.T) / 2
    one = torch.eye(len(a), dtype=a.dtype)
    return ((one + a + a @ a) @ (one + a))[:, : weight.shape[1]]


def inverse_alone(weight):
    if weight.shape[0] < weight.shape[1]:
        return inverse_alone(weight.T).T
    a = square(weight.tril())
    a = (a - a.T) / 2
    return torch.linalg.inv(torch.eye(len(a), dtype=a.dtype) - a)[:, : weight.shape[1]]


def exponential(weight):
    """torch's map for square matrices."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
    orthogonal = parametrizations.orthogonal(layer, orthogonal_map="matrix_exp", use_trivialization=False)
    return orthogonal.parametrizations.weight[0](weight)


def other_map(weight, orthogonal_map="matrix_exp"):
    """Has the name of the other map."""
    return half_solved(weight) if orthogonal_map == "matrix_exp" else exponential(weight)
