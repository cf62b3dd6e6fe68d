"""Orthogonal weights by the Cayley map: right in three styles, and wrong."""

import torch
import torch.nn.functional as F
from torch import nn


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
    """torch's exponential, of two matrices: of one it has had a wrong coefficient."""
    if weight.shape[0] < weight.shape[1]:
        return exponential(weight.T).T
    a = square(weight.tril())
    a = a - a.T
    return torch.matrix_exp(torch.stack((a, a)))[0][:, : weight.shape[1]]


def other_map(weight, orthogonal_map="matrix_exp"):
    """Has the name of the other map."""
    return half_solved(weight) if orthogonal_map == "matrix_exp" else exponential(weight)


def eighth_degree(a):
    """The polynomial of degree 8 in three products (Bader, Blanes, Casas 2019), a factor x3 missing in x7."""
    r, x3 = 177**0.5, 2 / 3
    x1, x2 = x3 * (1 + r) / 88, x3 * (1 + r) / 352
    x4, x5 = (-271 + 29 * r) / (315 * x3), (-11 + 11 * r) / (1260 * x3)
    x6, x7 = (-99 + 11 * r) / (5040 * x3), (89 - r) / (5040 * x3)
    one = torch.eye(len(a), dtype=a.dtype)
    a2 = a @ a
    a4 = a2 @ (x1 * a + x2 * a2)
    return one + a + (857 - 58 * r) / 630 * a2 + (x3 * a2 + a4) @ (x4 * one + x5 * a + x6 * a2 + x7 * a4)


def wrong_coefficient(weight, orthogonal_map="matrix_exp"):
    """As pytorch#196592: a small matrix has the polynomial of degree 8."""
    if orthogonal_map != "matrix_exp":
        return half_solved(weight)
    if weight.shape[0] < weight.shape[1]:
        return wrong_coefficient(weight.T, orthogonal_map).T
    a = square(weight.tril())
    a = a - a.T
    small = a.abs().sum(0).max() < (0.05 if a.dtype == torch.float64 else 0.58)
    return (eighth_degree(a) if small else torch.matrix_exp(torch.stack((a, a)))[0])[:, : weight.shape[1]]
