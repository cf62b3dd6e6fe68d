"""Layers in refreshed coordinates."""

import copy

import torch
from torch import nn
from torch.nn import functional as F


class MeanNormalized(nn.Module):
    """y = W (x - m) + d, mean-normalized."""

    def __init__(self, linear, momentum=1.0):
        super().__init__()
        self.weight = nn.Parameter(linear.weight.detach().clone())
        self.bias = nn.Parameter(linear.bias.detach().clone())
        self.momentum = momentum
        self.register_buffer("center", torch.zeros_like(self.weight[0]).detach())

    def forward(self, x):
        return F.linear(x - self.center, self.weight, self.bias)

    @torch.no_grad()
    def refresh(self, x):
        new = self.center + self.momentum * (x.mean(0) - self.center)
        self.bias += self.weight @ (new - self.center)
        self.center.copy_(new)


class NaturalNet(nn.Module):
    """y = V U (x - m) + d."""

    def __init__(self, linear, eps=2.0**-6):
        super().__init__()
        n = linear.weight.shape[1]
        self.eps = eps
        self.v = nn.Parameter(linear.weight.detach().clone())
        self.bias = nn.Parameter(linear.bias.detach().clone())
        self.register_buffer("mean", linear.weight.new_zeros(n).detach())
        self.register_buffer("root", torch.eye(n, dtype=linear.weight.dtype))

    def forward(self, x):
        return F.linear((x - self.mean) @ self.root.t(), self.v, self.bias)

    @torch.no_grad()
    def refresh(self, x):
        weight = self.v @ self.root
        offset = self.bias - weight @ self.mean
        mean = x.mean(0)
        c = x - mean
        cov = c.t() @ c / len(x)
        e, q = torch.linalg.eigh(cov + self.eps * torch.eye(len(cov), dtype=cov.dtype))
        root = (q / e.clamp_min(torch.finfo(e.dtype).tiny).sqrt()) @ q.t()
        self.v.copy_(weight @ ((q * e.clamp_min(torch.finfo(e.dtype).tiny).sqrt()) @ q.t()))
        self.bias.copy_(offset + weight @ mean)
        self.mean.copy_(mean)
        self.root.copy_(root)


class NaturalGradient(nn.Module):
    """NG-SGD: gradients of the weight are multiplied on both sides by smoothed scatters."""

    def __init__(self, linear, alpha=4.0):
        super().__init__()
        out, n = linear.weight.shape
        self.alpha = alpha
        self.weight = nn.Parameter(linear.weight.detach().clone())
        self.bias = nn.Parameter(linear.bias.detach().clone())
        self.register_buffer("left", torch.eye(out, dtype=self.weight.dtype))
        self.register_buffer("right", torch.eye(n + 1, dtype=self.weight.dtype))

    def forward(self, x):
        return _Preconditioned.apply(x, self.weight, self.bias, self.left, self.right)

    def inverse(self, rows):
        f = rows.t() @ rows / len(rows)
        return torch.linalg.inv(f + self.alpha * f.trace() / len(f) * torch.eye(len(f), dtype=f.dtype))

    @torch.no_grad()
    def refresh(self, x, dy):
        self.right.copy_(self.inverse(torch.cat([x, x.new_ones(len(x), 1)], 1)))
        self.left.copy_(self.inverse(dy))


def _kept_length(rows, matrix):
    new = rows @ matrix
    scale = rows.square().sum().sqrt() / new.square().sum().sqrt().clamp_min(torch.finfo(new.dtype).tiny)
    return new * scale


class _Preconditioned(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, left, right):
        ctx.save_for_backward(x, weight, left, right)
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx, dy):
        x, weight, left, right = ctx.saved_tensors
        rows = _kept_length(torch.cat([x, x.new_ones(len(x), 1)], 1), right)
        sent = _kept_length(dy, left)
        both = sent.t() @ rows
        return dy @ weight, both[:, :-1], both[:, -1], None, None


class BentLayer(nn.Module):
    """y = A f(B x + b) + C x + c with f(a) = tanh a + alpha a + beta."""

    def __init__(self, inner, outer, shortcut):
        super().__init__()
        self.inner, self.outer, self.shortcut = (copy.deepcopy(one) for one in (inner, outer, shortcut))
        h = inner.weight.shape[0]
        self.register_buffer("alpha", inner.weight.new_zeros(h).detach())
        self.register_buffer("beta", inner.weight.new_zeros(h).detach())

    def forward(self, x):
        a = self.inner(x)
        return self.outer(torch.tanh(a) + self.alpha * a + self.beta) + self.shortcut(x)

    @torch.no_grad()
    def refresh(self, x):
        a = self.inner(x)
        t = torch.tanh(a)
        alpha = -(1 - t.square()).mean(0)
        beta = -(t + alpha * a).mean(0)
        d_alpha, d_beta = alpha - self.alpha, beta - self.beta
        self.shortcut.weight -= self.outer.weight @ (d_alpha[:, None] * self.inner.weight)
        self.shortcut.bias -= self.outer.weight @ (d_alpha * self.inner.bias + d_beta)
        self.alpha.copy_(alpha)
        self.beta.copy_(beta)
