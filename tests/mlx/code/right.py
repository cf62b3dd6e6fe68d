"""Normalizers in MLX, right in several styles."""

import mlx.core as mx
from mlx import nn


def _wide(x):
    return x if x.dtype in (mx.float32, mx.float64) else x.astype(mx.float32)


def layer_norm(x, weight=None, bias=None, eps=1e-5):
    h = _wide(x)
    c = h - h.mean(-1, keepdims=True)
    y = c * mx.rsqrt(mx.square(c).mean(-1, keepdims=True) + eps)
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return y.astype(x.dtype)


def rms_norm(x, weight, eps=1e-6):
    h = _wide(x)
    return (h * mx.rsqrt(mx.square(h).mean(-1, keepdims=True) + eps) * weight).astype(x.dtype)


def batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=True, momentum=0.1, eps=1e-5):
    """With the running statistics after the call."""
    h = _wide(x)
    axes = tuple(a for a in range(x.ndim) if a != 1)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    if training:
        mean = h.mean(axes)
        var = mx.square(h - mean.reshape(shape)).mean(axes)
        n = x.size // x.shape[1]
        if running_mean is not None:
            unbiased = var * (n / max(n - 1, 1))
            running_mean = ((1 - momentum) * running_mean + momentum * mean).astype(x.dtype)
            running_var = ((1 - momentum) * running_var + momentum * unbiased).astype(x.dtype)
    else:
        mean, var = running_mean, running_var
    y = (h - mean.reshape(shape)) / mx.sqrt(var.reshape(shape) + eps)
    y = y if weight is None else y * weight.reshape(shape)
    y = y if bias is None else y + bias.reshape(shape)
    return y.astype(x.dtype), (running_mean, running_var)


instance = nn.LayerNorm(16)


class LayerNorm(nn.Module):
    """With an eps in the format of the input: that of mx.fast has float32."""

    def __init__(self, dims, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = mx.ones(dims), mx.zeros(dims), eps

    def __call__(self, x):
        return layer_norm(x, self.weight, self.bias, self.eps)
