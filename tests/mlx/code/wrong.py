"""Normalizers in MLX, each wrong in one way, which its name tells."""

import mlx.core as mx

from mlx import nn


def _wide(x):
    return x if x.dtype in (mx.float32, mx.float64) else x.astype(mx.float32)


def _affine(xh, x, weight, bias):
    return (xh * weight + bias).astype(x.dtype)


def _statistics(x):
    h = _wide(x)
    return h, h.mean(-1, keepdims=True), h.var(-1, keepdims=True)


def eps_outside_root(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / (mx.sqrt(var) + eps), x, weight, bias)


def variance_unbiased(x, weight, bias, eps=1e-5):
    h = _wide(x)
    n = x.shape[-1]
    var = h.var(-1, keepdims=True) * (n / max(n - 1, 1))
    return _affine((h - h.mean(-1, keepdims=True)) / mx.sqrt(var + eps), x, weight, bias)


def mean_kept_in_numerator(x, weight, bias, eps=1e-5):
    h, _, var = _statistics(x)
    return _affine(h / mx.sqrt(var + eps), x, weight, bias)


def one_pass_variance(x, weight, bias, eps=1e-5):
    h = _wide(x)
    mean = h.mean(-1, keepdims=True)
    var = mx.maximum(mx.square(h).mean(-1, keepdims=True) - mx.square(mean), 0.0)
    return _affine((h - mean) / mx.sqrt(var + eps), x, weight, bias)


def affine_ignored(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return ((h - mean) / mx.sqrt(var + eps)).astype(x.dtype)


def gain_one_plus_weight(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / mx.sqrt(var + eps), x, 1 + weight, bias)


def mean_constant(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    mean = mx.stop_gradient(mean)
    return _affine((h - mean) / mx.sqrt(mx.square(h - mean).mean(-1, keepdims=True) + eps), x, weight, bias)


def variance_constant(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / mx.sqrt(mx.stop_gradient(var) + eps), x, weight, bias)


def narrow_inside(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x.astype(mx.bfloat16))
    return _affine((h - mean) / mx.sqrt(var + eps), x, weight, bias)


def tail_dropped(x, weight, bias, eps=1e-5):
    h = _wide(x)
    n = x.shape[-1]
    body = h[..., : n // 4 * 4] if n >= 4 else h
    mean, var = body.mean(-1, keepdims=True), body.var(-1, keepdims=True)
    return _affine((h - mean) / mx.sqrt(var + eps), x, weight, bias)


def output_clipped(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine(mx.clip((h - mean) / mx.sqrt(var + eps), -2.0, 2.0), x, weight, bias)


def output_float32(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return ((h - mean) / mx.sqrt(var + eps) * weight + bias).astype(mx.float32)


def eps_ignored(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / mx.sqrt(mx.maximum(var, 1e-30)), x, weight, bias)


class NoBias(nn.LayerNorm):
    """Forgets its bias."""

    def __init__(self, dims, eps=1e-5):
        super().__init__(dims, eps)

    def __call__(self, x):
        return super().__call__(x) - self.bias
