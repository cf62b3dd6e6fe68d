"""Layer norm as torch.autograd.Function, with the backward written by hand."""

import math

import numpy as np
import torch
from torch.autograd.function import once_differentiable


def _flat(x, normalized_shape):
    n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
    return x.to(torch.promote_types(x.dtype, torch.float32)).reshape(-1, n)


class ClosedForm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, normalized_shape, weight, bias, eps):
        h = _flat(x, normalized_shape)
        mean = h.mean(1, keepdim=True)
        rstd = (h - mean).square().mean(1, keepdim=True).add(eps).rsqrt()
        xhat = (h - mean) * rstd
        ctx.save_for_backward(xhat, rstd, weight, bias)
        ctx.dtype = x.dtype
        y = xhat
        if weight is not None:
            y = y * weight.reshape(-1)
        if bias is not None:
            y = y + bias.reshape(-1)
        return y.reshape(x.shape).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        xhat, rstd, weight, bias = ctx.saved_tensors
        g = dy.to(xhat.dtype).reshape(xhat.shape)
        dweight = dbias = None
        if weight is not None:
            dweight = (g * xhat).sum(0).reshape(weight.shape).to(weight.dtype)
        if bias is not None:
            dbias = g.sum(0).reshape(bias.shape).to(bias.dtype)
        if weight is not None:
            g = g * weight.reshape(-1)
        mean_g = g.mean(1, keepdim=True)
        mean_gx = (g * xhat).mean(1, keepdim=True)
        dx = rstd * (g - mean_g - xhat * mean_gx)
        return dx.reshape(dy.shape).to(ctx.dtype), None, dweight, dbias, None


def closed_form(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Saves xhat and rstd; the textbook backward."""
    return ClosedForm.apply(x, normalized_shape, weight, bias, eps)


class RawSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, normalized_shape, gamma, beta, eps):
        h = _flat(x, normalized_shape)
        var, mean = torch.var_mean(h, 1, correction=0, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        ctx.save_for_backward(x, mean, rstd, gamma, beta)
        y = h * rstd + (-mean * rstd)
        if gamma is not None:
            y = y * gamma.reshape(-1)
        if beta is not None:
            y = y + beta.reshape(-1)
        return y.to(x.dtype).view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, mean, rstd, gamma, beta = ctx.saved_tensors
        n = x.numel() // max(mean.numel(), 1)
        h = x.to(mean.dtype).reshape(mean.shape[0], -1) if mean.numel() else x.to(mean.dtype).reshape(0, 1)
        dy = grad.to(h.dtype).reshape(h.shape)
        g = dy if gamma is None else dy * gamma.reshape(-1)
        sum_g = g.sum(1, keepdim=True)
        sum_gx = (g * h).sum(1, keepdim=True)
        c1 = rstd
        c2 = (sum_g * mean - sum_gx) * rstd**3 / max(n, 1)
        c3 = -c2 * mean - sum_g * rstd / max(n, 1)
        dx = c1 * g + c2 * h + c3
        dgamma = dbeta = None
        if gamma is not None:
            dgamma = (dy * (h - mean) * rstd).sum(0).reshape(gamma.shape).to(gamma.dtype)
        if beta is not None:
            dbeta = dy.sum(0).reshape(beta.shape).to(beta.dtype)
        return dx.reshape(x.shape).to(x.dtype), None, dgamma, dbeta, None


def raw_sums(x, normalized_shape, gamma=None, beta=None, eps=1e-5):
    """dx = c1 * dy + c2 * x + c3 with one triple of coefficients for each row."""
    return RawSums.apply(x, normalized_shape, gamma, beta, eps)


class Recomputed(torch.autograd.Function):
    @staticmethod
    def statistics(h, eps):
        mean = h.sum(-1, keepdim=True) / h.shape[-1]
        centered = h - mean
        rstd = 1.0 / torch.sqrt((centered * centered).sum(-1, keepdim=True) / h.shape[-1] + eps)
        return centered, rstd

    @staticmethod
    def forward(ctx, input, normalized_shape, weight, bias, eps):
        ctx.save_for_backward(input, weight, bias)
        ctx.normalized_shape, ctx.eps = normalized_shape, eps
        centered, rstd = Recomputed.statistics(_flat(input, normalized_shape), eps)
        out = centered * rstd
        if weight is not None:
            out = out * weight.flatten()
        if bias is not None:
            out = out + bias.flatten()
        return out.reshape(input.shape).to(input.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        input, weight, bias = ctx.saved_tensors
        centered, rstd = Recomputed.statistics(_flat(input, ctx.normalized_shape), ctx.eps)
        n = centered.shape[-1]
        grad = _flat(grad_output, ctx.normalized_shape)
        grad_input = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            scaled = grad if weight is None else grad * weight.flatten()
            projection = (scaled * centered).sum(-1, keepdim=True) * rstd**2 / n
            grad_input = (scaled - scaled.sum(-1, keepdim=True) / n - centered * projection) * rstd
            grad_input = grad_input.reshape(input.shape).to(input.dtype)
        if weight is not None and ctx.needs_input_grad[2]:
            grad_weight = (grad * centered * rstd).sum(0).reshape(weight.shape).to(weight.dtype)
        if bias is not None and ctx.needs_input_grad[3]:
            grad_bias = grad.sum(0).reshape(bias.shape).to(bias.dtype)
        return grad_input, None, grad_weight, grad_bias, None


def recomputed(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Saves only the input; the backward computes the statistics again."""
    return Recomputed.apply(input, normalized_shape, weight, bias, eps)


class InNumpy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, normalized_shape, weight, bias, eps):
        h = _flat(x, normalized_shape).numpy()
        mu = h.mean(axis=1, keepdims=True)
        sigma = np.sqrt(h.var(axis=1, keepdims=True) + h.dtype.type(eps))
        xhat = (h - mu) / sigma
        w = np.ones(h.shape[1], h.dtype) if weight is None else _flat(weight, weight.numel()).numpy()[0]
        y = xhat * w
        if bias is not None:
            y = y + _flat(bias, bias.numel()).numpy()
        ctx.arrays = xhat, sigma, w
        ctx.like = x, weight, bias
        return torch.from_numpy(y).reshape(x.shape).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        xhat, sigma, w = ctx.arrays
        x, weight, bias = ctx.like
        g = _flat(dy, xhat.shape[1]).numpy()
        gw = g * w
        dx = (gw - gw.mean(1, keepdims=True) - xhat * (gw * xhat).mean(1, keepdims=True)) / sigma

        def back(array, like):
            return None if like is None else torch.from_numpy(np.asarray(array)).reshape(like.shape).to(like.dtype)

        return back(dx, x), None, back((g * xhat).sum(0), weight), back(g.sum(0), bias), None


def in_numpy(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Forward and backward in numpy."""
    return InNumpy.apply(x, normalized_shape, weight, bias, eps)
