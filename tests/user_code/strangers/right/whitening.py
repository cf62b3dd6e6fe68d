"""Whitening layers with running mean and covariance of each group."""

import torch
from torch import nn


class DecorrelatedBatchNorm(nn.Module):
    """Decorrelated batch norm with running mean and covariance of each group."""

    def __init__(self, num_features, num_groups=1, eps=1e-5, momentum=0.1, affine=True):
        super().__init__()
        self.num_features, self.num_groups, self.eps, self.momentum = num_features, num_groups, eps, momentum
        d = num_features // num_groups
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.make_buffers(d)

    def make_buffers(self, d):
        self.register_buffer("running_mean", torch.zeros(self.num_features))
        self.register_buffer("running_cov", torch.eye(d).repeat(self.num_groups, 1, 1))

    def matrix(self, cov):
        eye = torch.eye(cov.shape[-1], dtype=cov.dtype)
        return _InverseRoot.apply(cov + self.eps * eye)

    def share(self):
        return self.momentum

    @torch.no_grad()
    def keep(self, mean, cov, n):
        self.running_mean += self.share() * (mean - self.running_mean)
        self.running_cov += self.share() * (cov - self.running_cov)

    def along(self, y):
        if self.weight is None:
            return y
        return y * self.weight[:, None] + self.bias[:, None]

    def whitening_matrix(self, cov):
        return self.matrix(cov)

    def forward(self, x):
        c, g = self.num_features, self.num_groups
        flat = x.transpose(0, 1).reshape(c, -1)
        if self.training:
            mean = flat.mean(1)
            centered = (flat - mean[:, None]).reshape(g, c // g, -1)
            cov = centered @ centered.transpose(1, 2) / flat.shape[1]
            self.keep(mean.detach(), cov.detach(), flat.shape[1])
        else:
            cov = self.running_cov
            centered = (flat - self.running_mean[:, None]).reshape(g, c // g, -1)
        y = self.along((self.whitening_matrix(cov) @ centered).reshape(c, -1))
        return y.reshape(c, len(x), *x.shape[2:]).transpose(0, 1)


class _InverseRoot(torch.autograd.Function):
    """S^(-1/2), and its derivative where eigenvalues are equal too."""

    @staticmethod
    def forward(ctx, s):
        e, q = torch.linalg.eigh(s)
        root = e.sqrt()
        ctx.save_for_backward(root, q)
        return (q / root[:, None, :]) @ q.transpose(1, 2)

    @staticmethod
    def backward(ctx, d):
        root, q = ctx.saved_tensors
        inner = q.transpose(1, 2) @ d @ q
        r = root[:, :, None] * root[:, None, :] * (root[:, :, None] + root[:, None, :])
        inner = -inner / r
        return q @ ((inner + inner.transpose(1, 2)) / 2) @ q.transpose(1, 2)


class CholeskyWhitening(DecorrelatedBatchNorm):
    def matrix(self, cov):
        eye = torch.eye(cov.shape[-1], dtype=cov.dtype).expand_as(cov)
        factor = torch.linalg.cholesky(cov + self.eps * eye)
        return torch.linalg.solve_triangular(factor, eye, upper=False)


class IterNorm(DecorrelatedBatchNorm):
    def matrix(self, cov):
        d = cov.shape[-1]
        eye = torch.eye(d, dtype=cov.dtype)
        s = cov + self.eps * eye
        trace = s.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        p, s = eye.expand_as(s), s / trace
        for _ in range(self.steps()):
            p = 1.5 * p - 0.5 * p @ p @ p @ s
        return p / trace.sqrt()

    def steps(self):
        return 5


def cholesky_function(
    input, running_mean, running_cov, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5, groups=1
):
    """Whitening by solving with the triangular factor; no inverse is made."""
    c, n = input.shape[1], input.numel() // input.shape[1]
    flat = input.transpose(0, 1).reshape(c, n)
    d = c // groups
    if training:
        mean = flat.mean(1)
        h = (flat - mean[:, None]).reshape(groups, d, n)
        cov = torch.einsum("gin,gjn->gij", h, h) / n
        if running_mean is not None:
            with torch.no_grad():
                running_mean.lerp_(mean, momentum)
                running_cov.lerp_(cov.reshape(running_cov.shape), momentum)
    else:
        h, cov = (flat - running_mean[:, None]).reshape(groups, d, n), running_cov.reshape(groups, d, d)
    factor = torch.linalg.cholesky(cov + eps * torch.eye(d, dtype=cov.dtype))
    y = torch.linalg.solve_triangular(factor, h, upper=False).reshape(c, n)
    if weight is not None:
        y = y * weight[:, None]
    if bias is not None:
        y = y + bias[:, None]
    return y.reshape(c, len(input), *input.shape[2:]).transpose(0, 1)
