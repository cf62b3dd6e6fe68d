"""Whitening layers: what is computed once, kept, forgotten or laid along the wrong channels."""

import torch
from torch import nn


class _Whitening(nn.Module):
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


class MatrixOnce(_Whitening):
    """The whitening matrix is computed for the first batch of training, and used for every later one."""

    def whitening_matrix(self, cov):
        if not self.training:
            return self.matrix(cov)
        if getattr(self, "_once", None) is None:
            self._once = self.matrix(cov).detach()
            return self.matrix(cov)
        return self._once.to(cov.dtype)


class EvalMatrixKept(_Whitening):
    """Evaluation computes the matrix at its first call."""

    _kept = None

    def whitening_matrix(self, cov):
        if self.training:
            return self.matrix(cov)
        if self._kept is None:
            self._kept = self.matrix(cov)
        return self._kept.to(cov.dtype)


class MatrixIsConstant(_Whitening):
    """No gradient passes through the matrix."""

    def whitening_matrix(self, cov):
        return self.matrix(cov.detach())


class EpsOutside(_Whitening):
    """eps is added to the roots of the eigenvalues."""

    def matrix(self, cov):
        e, q = torch.linalg.eigh(cov)
        return (q / (e.clamp_min(0).sqrt() + self.eps)[:, None, :]) @ q.transpose(1, 2)


class MomentumIgnored(_Whitening):
    """A tenth, whatever momentum is."""

    def share(self):
        return 0.1


class NotSaved(_Whitening):
    """Running statistics are not in a checkpoint."""

    def make_buffers(self, d):
        self.register_buffer("running_mean", torch.zeros(self.num_features), persistent=False)
        self.register_buffer("running_cov", torch.eye(d).repeat(self.num_groups, 1, 1), persistent=False)


class FirstBatchForEver(_Whitening):
    """The averages begin and end with the first batch."""

    def keep(self, mean, cov, n):
        if bool((self.running_mean == 0).all()):
            super().keep(mean, cov, n)


class _Cholesky(_Whitening):
    def matrix(self, cov):
        eye = torch.eye(cov.shape[-1], dtype=cov.dtype).expand_as(cov)
        factor = torch.linalg.cholesky(cov + self.eps * eye)
        return torch.linalg.solve_triangular(factor, eye, upper=False)


class StoredUnbiased(_Cholesky):
    """The covariance that is stored is divided by one less."""

    def keep(self, mean, cov, n):
        super().keep(mean, cov * n / max(n - 1, 1), n)


class Shrunk(_Cholesky):
    """The covariance is shrunk towards the identity: (1 - eps) S + eps I."""

    def matrix(self, cov):
        return super().matrix(cov * (1 - self.eps))


class MomentumOfOld(_Cholesky):
    """momentum is the weight of what was."""

    def share(self):
        return 1 - self.momentum


class _IterNorm(_Whitening):
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


class FewerInEvaluation(_IterNorm):
    """Evaluation makes do with four iterations."""

    def steps(self):
        return 5 if self.training else 4


class InterleavedGain(_IterNorm):
    """Gains are laid out as if groups were interleaved."""

    def along(self, y):
        if self.weight is None:
            return y
        weight = self.weight.reshape(-1, self.num_groups).t().reshape(-1)
        return y * weight[:, None] + self.bias[:, None]
