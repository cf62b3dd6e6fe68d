"""Normalizers in tinygrad, each wrong in one way, which its name tells."""

from tinygrad import dtypes, nn


def _wide(x):
    return x if x.dtype in (dtypes.float32, dtypes.float64) else x.cast(dtypes.float32)


def _affine(xh, x, weight, bias):
    return (xh * weight + bias).cast(x.dtype)


def _statistics(x):
    h = _wide(x)
    return h, h.mean(-1, keepdim=True), h.var(-1, keepdim=True, correction=0)


def eps_outside_root(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / (var.sqrt() + eps), x, weight, bias)


def variance_unbiased(x, weight, bias, eps=1e-5):
    h = _wide(x)
    n = x.shape[-1]
    var = h.var(-1, keepdim=True, correction=0) * (n / max(n - 1, 1))
    return _affine((h - h.mean(-1, keepdim=True)) / (var + eps).sqrt(), x, weight, bias)


def mean_kept_in_numerator(x, weight, bias, eps=1e-5):
    h, _, var = _statistics(x)
    return _affine(h / (var + eps).sqrt(), x, weight, bias)


def one_pass_variance(x, weight, bias, eps=1e-5):
    h = _wide(x)
    mean = h.mean(-1, keepdim=True)
    var = (h.square().mean(-1, keepdim=True) - mean.square()).maximum(0.0)
    return _affine((h - mean) / (var + eps).sqrt(), x, weight, bias)


def affine_ignored(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return ((h - mean) / (var + eps).sqrt()).cast(x.dtype)


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
    h, mean, var = _statistics(x.cast(dtypes.bfloat16))
    return _affine((h - mean) / (var + eps).sqrt(), x, weight, bias)


def tail_dropped(x, weight, bias, eps=1e-5):
    h = _wide(x)
    n = x.shape[-1]
    body = h[..., : n // 4 * 4] if n >= 4 else h
    mean, var = body.mean(-1, keepdim=True), body.var(-1, keepdim=True, correction=0)
    return _affine((h - mean) / (var + eps).sqrt(), x, weight, bias)


def output_clipped(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine(((h - mean) / (var + eps).sqrt()).clip(-2.0, 2.0), x, weight, bias)


def output_float32(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return ((h - mean) / (var + eps).sqrt() * weight + bias).cast(dtypes.float32)


def eps_ignored(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / var.maximum(1e-30).sqrt(), x, weight, bias)


class NoBias(nn.LayerNorm):
    """Forgets its bias."""

    def __init__(self, dims, eps=1e-5):
        super().__init__(dims, eps)

    def __call__(self, x):
        return super().__call__(x) - self.bias
