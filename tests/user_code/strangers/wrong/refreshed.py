"""Layers in refreshed coordinates: what they owe to optimizers, checkpoints and the layers below."""

import copy

import torch
from torch import nn
from torch.nn import functional as F


class _Mean(nn.Module):
    """y = W (x - m) + d, mean-normalized."""

    def __init__(self, linear, momentum=1.0):
        super().__init__()
        self.weight = nn.Parameter(linear.weight.detach().clone())
        self.bias = nn.Parameter(linear.bias.detach().clone())
        self.momentum = momentum
        self.keep_center(torch.zeros_like(self.weight[0]).detach())

    def keep_center(self, value):
        self.register_buffer("center", value)

    def forward(self, x):
        return F.linear(x - self.center, self.weight, self.bias)

    @torch.no_grad()
    def refresh(self, x):
        new = self.center + self.momentum * (x.mean(0) - self.center)
        self.bias += self.weight @ (new - self.center)
        self.center.copy_(new)


class NewParameter(_Mean):
    """A refresh makes a new bias: an optimizer that was made before steps the old one."""

    @torch.no_grad()
    def refresh(self, x):
        new = x.mean(0)
        self.bias = nn.Parameter(self.bias + self.weight @ (new - self.center))
        self.center.copy_(new)


class CenterNotSaved(_Mean):
    """The center is a plain attribute."""

    def keep_center(self, value):
        self.center = value

    @torch.no_grad()
    def refresh(self, x):
        new = x.mean(0)
        self.bias += self.weight @ (new - self.center)
        self.center = new.clone()


class MomentumIgnored(_Mean):
    """Takes a momentum, and takes the whole new mean."""

    @torch.no_grad()
    def refresh(self, x):
        new = x.mean(0)
        self.bias += self.weight @ (new - self.center)
        self.center.copy_(new)


class InputCentered(_Mean):
    """The gradient that it hands down is that of a centered input."""

    def forward(self, x):
        if x.requires_grad:
            x = x + (x.mean(0) - x.mean(0).detach()) * -1.0
        return F.linear(x - self.center, self.weight, self.bias)


class SharesWithLinear(_Mean):
    """The bias of the given layer is written to."""

    def __init__(self, linear, momentum=1.0):
        super().__init__(linear, momentum)
        self.bias = linear.bias


class _Whitened(nn.Module):
    """y = V U (x - m) + d."""

    def __init__(self, linear, eps=2.0**-6):
        super().__init__()
        n = linear.weight.shape[1]
        self.eps = eps
        self.v = nn.Parameter(linear.weight.detach().clone())
        self.bias = nn.Parameter(linear.bias.detach().clone())
        self.make_buffers(linear.weight.new_zeros(n).detach(), torch.eye(n, dtype=linear.weight.dtype))

    def make_buffers(self, mean, root):
        self.register_buffer("mean", mean)
        self.register_buffer("root", root)

    def damping(self):
        return self.eps

    def forward(self, x):
        return F.linear((x - self.mean) @ self.root.t(), self.v, self.bias)

    @torch.no_grad()
    def refresh(self, x):
        weight = self.v @ self.root
        offset = self.bias - weight @ self.mean
        mean = x.mean(0)
        c = x - mean
        cov = c.t() @ c / len(x)
        e, q = torch.linalg.eigh(cov + self.damping() * torch.eye(len(cov), dtype=cov.dtype))
        root = (q / e.clamp_min(torch.finfo(e.dtype).tiny).sqrt()) @ q.t()
        self.v.copy_(weight @ ((q * e.clamp_min(torch.finfo(e.dtype).tiny).sqrt()) @ q.t()))
        self.bias.copy_(offset + weight @ mean)
        self.mean.copy_(mean)
        self.root.copy_(root)


class DampingFixed(_Whitened):
    """eps is taken and not used."""

    def damping(self):
        return 2.0**-6


class Unsaved(_Whitened):
    """Mean and matrix are declared as scratch: a checkpoint lacks them."""

    def make_buffers(self, mean, root):
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("root", root, persistent=False)


class OnlyFirst(_Whitened):
    """The second refresh finds coordinates chosen, and returns."""

    def refresh(self, x):
        if bool(self.mean.any()):
            return
        super().refresh(x)


class _Scatter(nn.Module):
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
        return self.function().apply(x, self.weight, self.bias, self.left, self.right)

    def function(self):
        return _Preconditioned

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
        return _Preconditioned.down(dy, sent, weight), both[:, :-1], both[:, -1], None, None

    @staticmethod
    def down(dy, sent, weight):
        return dy @ weight


class _DownToo(torch.autograd.Function):
    """As above; the layer below gets the preconditioned gradient too."""

    forward = _Preconditioned.forward

    @staticmethod
    def backward(ctx, dy):
        x, weight, left, right = ctx.saved_tensors
        rows = _kept_length(torch.cat([x, x.new_ones(len(x), 1)], 1), right)
        sent = _kept_length(dy, left)
        both = sent.t() @ rows
        return sent @ weight, both[:, :-1], both[:, -1], None, None


class DownToo(_Scatter):
    def function(self):
        return _DownToo


class _Bent(nn.Module):
    """y = A f(B x + b) + C x + c with f(a) = tanh a + alpha a + beta."""

    def __init__(self, inner, outer, shortcut):
        super().__init__()
        self.inner, self.outer, self.shortcut = (copy.deepcopy(one) for one in (inner, outer, shortcut))
        h = inner.weight.shape[0]
        self.register_buffer("alpha", inner.weight.new_zeros(h).detach(), persistent=self.saved())
        self.register_buffer("beta", inner.weight.new_zeros(h).detach(), persistent=self.saved())

    def saved(self):
        return True

    def forward(self, x):
        a = self.inner(x)
        return self.outer(torch.tanh(a) + self.alpha * a + self.beta) + self.shortcut(x)

    @torch.no_grad()
    def refresh(self, x):
        a = self.inner(x)
        t = torch.tanh(a)
        alpha = self.slope(t)
        beta = -(t + alpha * a).mean(0)
        d_alpha, d_beta = alpha - self.alpha, beta - self.beta
        self.shortcut.weight -= self.outer.weight @ (d_alpha[:, None] * self.inner.weight)
        self.shortcut.bias -= self.outer.weight @ (d_alpha * self.inner.bias + d_beta)
        self.alpha.copy_(alpha)
        self.beta.copy_(beta)

    def slope(self, t):
        return -(1 - t.square()).mean(0)


class BendUnsaved(_Bent):
    """alpha and beta are not in a checkpoint."""

    def saved(self):
        return False


class SlopeOfMean(_Bent):
    """The slope is that at the mean output, in place of the mean slope."""

    def slope(self, t):
        return -(1 - t.mean(0).square())
