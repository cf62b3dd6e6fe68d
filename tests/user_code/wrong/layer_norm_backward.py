"""Layer norm with a hand-written backward that has one fault in each class."""

import math

import torch
from torch.autograd.function import once_differentiable


class _LayerNorm(torch.autograd.Function):
    """The forward pass that all share; the saved values are those of a closed-form backward."""

    @staticmethod
    def forward(ctx, x, normalized_shape, weight, bias, eps):
        n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
        h = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(-1, n)
        mean = h.mean(1, keepdim=True)
        rstd = torch.rsqrt((h - mean).square().mean(1, keepdim=True) + eps)
        xhat = (h - mean) * rstd
        ctx.save_for_backward(h, xhat, rstd, weight, bias)
        ctx.dtype = x.dtype
        y = xhat
        if weight is not None:
            y = y * weight.reshape(-1)
        if bias is not None:
            y = y + bias.reshape(-1)
        return y.reshape(x.shape).to(x.dtype)


def _load(ctx, dy):
    h, xhat, rstd, weight, bias = ctx.saved_tensors
    dy = dy.to(h.dtype).reshape(h.shape)
    g = dy if weight is None else dy * weight.reshape(-1)
    return h, xhat, rstd, weight, bias, dy, g


def _like(grad, parameter):
    return None if parameter is None else grad.reshape(parameter.shape).to(parameter.dtype)


class _NoMeanTerm(_LayerNorm):
    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, rstd, weight, bias, dy, g = _load(ctx, grad)
        dx = rstd * (g - xhat * (g * xhat).mean(1, keepdim=True))
        return (
            dx.reshape(grad.shape).to(ctx.dtype),
            None,
            _like((dy * xhat).sum(0), weight),
            _like(dy.sum(0), bias),
            None,
        )


def no_mean_term(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _NoMeanTerm.apply(x, normalized_shape, weight, bias, eps)


class _NoVarianceTerm(_LayerNorm):
    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, rstd, weight, bias, dy, g = _load(ctx, grad)
        dx = rstd * (g - g.mean(1, keepdim=True))
        return (
            dx.reshape(grad.shape).to(ctx.dtype),
            None,
            _like((dy * xhat).sum(0), weight),
            _like(dy.sum(0), bias),
            None,
        )


def no_variance_term(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _NoVarianceTerm.apply(x, normalized_shape, weight, bias, eps)


class _WeightGradientFromInput(_LayerNorm):
    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        h, xhat, rstd, weight, bias, dy, g = _load(ctx, grad)
        dx = rstd * (g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True))
        return dx.reshape(grad.shape).to(ctx.dtype), None, _like((dy * h).sum(0), weight), _like(dy.sum(0), bias), None


def weight_gradient_from_input(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _WeightGradientFromInput.apply(x, normalized_shape, weight, bias, eps)


class _BiasGradientAveraged(_LayerNorm):
    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, rstd, weight, bias, dy, g = _load(ctx, grad)
        dx = rstd * (g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True))
        return (
            dx.reshape(grad.shape).to(ctx.dtype),
            None,
            _like((dy * xhat).sum(0), weight),
            _like(dy.mean(0), bias),
            None,
        )


def bias_gradient_averaged(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _BiasGradientAveraged.apply(x, normalized_shape, weight, bias, eps)


class _InputGradientWithoutWeight(_LayerNorm):
    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, rstd, weight, bias, dy, _ = _load(ctx, grad)
        dx = rstd * (dy - dy.mean(1, keepdim=True) - xhat * (dy * xhat).mean(1, keepdim=True))
        return (
            dx.reshape(grad.shape).to(ctx.dtype),
            None,
            _like((dy * xhat).sum(0), weight),
            _like(dy.sum(0), bias),
            None,
        )


def input_gradient_without_weight(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _InputGradientWithoutWeight.apply(x, normalized_shape, weight, bias, eps)
