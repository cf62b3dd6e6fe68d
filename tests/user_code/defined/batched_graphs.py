"""Nodes of several graphs with a batch vector: right in three styles, and wrong."""

import torch
from torch import nn


def scatter_mean(x, batch, graphs):
    index = batch.view(-1, 1).expand_as(x)
    return torch.zeros(graphs, x.shape[1], dtype=x.dtype).scatter_reduce(0, index, x, "mean", include_self=False)


class GraphNorm(nn.Module):
    def __init__(self, hidden_dim, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_dim))
        self.bias = nn.Parameter(torch.zeros(hidden_dim))
        self.mean_scale = nn.Parameter(torch.ones(hidden_dim))
        self.eps = eps

    def mean(self, x, batch):
        return scatter_mean(x, batch, int(batch[-1]) + 1)[batch]

    def forward(self, x, batch):
        sub = x - self.mean(x, batch) * self.mean_scale
        std = (self.mean(sub.pow(2), batch) + self.eps).sqrt()
        return self.weight * sub / std + self.bias


class OneHotGraphNorm(GraphNorm):
    """Sums by a product with a matrix of zeros and ones."""

    def mean(self, x, batch):
        member = nn.functional.one_hot(batch).to(x.dtype)
        return member @ ((member.T @ x) / member.sum(0).clamp(min=1)[:, None])


def pair_of_each(x, batch, scale=1.0, eps=1e-5):
    """One graph after another; code without batch_size."""
    out = []
    for graph in batch.unique():
        c = x[batch == graph]
        c = c - c.mean(0)
        out.append(scale * c / (c.pow(2).sum(1).mean() + eps).sqrt())
    return torch.cat(out)


class OfAllNodes(GraphNorm):
    def mean(self, x, batch):
        return x.mean(0, keepdim=True).expand_as(x)


class CountOfFirst(GraphNorm):
    def mean(self, x, batch):
        sums = torch.zeros(int(batch[-1]) + 1, x.shape[1], dtype=x.dtype).index_add(0, batch, x)
        return sums[batch] / (batch == batch[0]).sum()


class Padded(GraphNorm):
    """Graphs in a dense tensor, padded with zeros that are counted."""

    def mean(self, x, batch):
        nodes = [x[batch == graph] for graph in batch.unique()]
        dense = nn.utils.rnn.pad_sequence(nodes, batch_first=True)
        return torch.cat([dense[i].mean(0, keepdim=True).expand_as(one) for i, one in enumerate(nodes)])


class BehindEmpty(GraphNorm):
    """Counts the graphs that have nodes, and reads them by the number of a graph."""

    def mean(self, x, batch):
        ids, counts = batch.unique_consecutive(return_counts=True)
        means = torch.stack([part.mean(0) for part in x.split(counts.tolist())])
        return means[batch.clamp(max=len(ids) - 1)]


def pair_over_all(x, batch, scale=1.0, eps=1e-5):
    c = x - x.mean(0)
    return scale * c / (c.pow(2).sum(1).mean() + eps).sqrt()


def pair_one_distance(x, batch, scale=1.0, eps=1e-5):
    c = x - scatter_mean(x, batch, int(batch.max()) + 1)[batch]
    return scale * c / (c.pow(2).sum(1).mean() + eps).sqrt()


def pair_count_of_first(x, batch, scale=1.0, eps=1e-5):
    def mean(v):
        sums = torch.zeros(int(batch[-1]) + 1, v.shape[1], dtype=v.dtype).index_add(0, batch, v)
        return sums[batch] / (batch == batch[0]).sum()

    c = x - mean(x)
    return scale * c / (mean(c.pow(2).sum(1, keepdim=True)) + eps).sqrt()
