"""Normalizers in PaddlePaddle, each wrong in one way, which its name tells."""

import paddle
from paddle import nn


def _wide(x):
    return x if x.dtype in (paddle.float32, paddle.float64) else x.astype(paddle.float32)


def _affine(xh, x, weight, bias):
    return (xh * weight + bias).astype(x.dtype)


def _statistics(x):
    h = _wide(x)
    return h, h.mean(-1, keepdim=True), h.var(-1, keepdim=True, unbiased=False)


def eps_outside_root(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / (var.sqrt() + eps), x, weight, bias)


def variance_unbiased(x, weight, bias, eps=1e-5):
    h = _wide(x)
    n = x.shape[-1]
    var = h.var(-1, keepdim=True, unbiased=False) * (n / max(n - 1, 1))
    return _affine((h - h.mean(-1, keepdim=True)) / (var + eps).sqrt(), x, weight, bias)


def mean_kept_in_numerator(x, weight, bias, eps=1e-5):
    h, _, var = _statistics(x)
    return _affine(h / (var + eps).sqrt(), x, weight, bias)


def one_pass_variance(x, weight, bias, eps=1e-5):
    h = _wide(x)
    mean = h.mean(-1, keepdim=True)
    var = (h.square().mean(-1, keepdim=True) - mean.square()).clip(0.0)
    return _affine((h - mean) / (var + eps).sqrt(), x, weight, bias)


def affine_ignored(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return ((h - mean) / (var + eps).sqrt()).astype(x.dtype)


def gain_one_plus_weight(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / (var + eps).sqrt(), x, 1 + weight, bias)


def mean_constant(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    mean = mean.detach()
    return _affine((h - mean) / ((h - mean).square().mean(-1, keepdim=True) + eps).sqrt(), x, weight, bias)


def variance_constant(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / (var.detach() + eps).sqrt(), x, weight, bias)


def narrow_inside(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x.astype(paddle.bfloat16))
    return _affine((h - mean) / (var + eps).sqrt(), x, weight, bias)


def tail_dropped(x, weight, bias, eps=1e-5):
    h = _wide(x)
    n = x.shape[-1]
    body = h[..., : n // 4 * 4] if n >= 4 else h
    mean, var = body.mean(-1, keepdim=True), body.var(-1, keepdim=True, unbiased=False)
    return _affine((h - mean) / (var + eps).sqrt(), x, weight, bias)


def output_clipped(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine(((h - mean) / (var + eps).sqrt()).clip(-2.0, 2.0), x, weight, bias)


def output_float32(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return ((h - mean) / (var + eps).sqrt() * weight + bias).astype(paddle.float32)


def eps_ignored(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / var.clip(1e-30).sqrt(), x, weight, bias)


class NoBias(nn.LayerNorm):
    """Forgets its bias."""

    def __init__(self, dims, eps=1e-5):
        super().__init__(dims, eps)

    def forward(self, x):
        h, mean, var = _statistics(x)
        return (h - mean) / (var + self._epsilon).sqrt() * self.weight
