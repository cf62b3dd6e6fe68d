"""Normalizers in tinygrad, right in several styles."""

from tinygrad import Tensor, TinyJit, dtypes, nn


def _wide(x):
    return x if x.dtype in (dtypes.float32, dtypes.float64) else x.cast(dtypes.float32)


def layer_norm(x, weight=None, bias=None, eps=1e-5):
    h = _wide(x)
    c = h - h.mean(-1, keepdim=True)
    y = c * (c.square().mean(-1, keepdim=True) + eps).rsqrt()
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return y.cast(x.dtype)


def rms_norm(x, weight, eps=1e-6):
    h = _wide(x)
    return (h * (h.square().mean(-1, keepdim=True) + eps).rsqrt() * weight).cast(x.dtype)


def _batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps):
    h = _wide(x)
    axes = tuple(a for a in range(x.ndim) if a != 1)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    if training:
        mean = h.mean(axes)
        var = (h - mean.reshape(shape)).square().mean(axes)
        n = x.numel() // x.shape[1]
        if running_mean is not None:
            unbiased = var * (n / max(n - 1, 1))
            running_mean = ((1 - momentum) * running_mean + momentum * mean.detach()).cast(x.dtype)
            running_var = ((1 - momentum) * running_var + momentum * unbiased.detach()).cast(x.dtype)
    else:
        mean, var = running_mean, running_var
    y = (h - mean.reshape(shape)) / (var.reshape(shape) + eps).sqrt()
    y = y if weight is None else y * weight.reshape(shape)
    y = y if bias is None else y + bias.reshape(shape)
    return y.cast(x.dtype), running_mean, running_var


def batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=True, momentum=0.1, eps=1e-5):
    """With the running statistics after the call."""
    y, mean, var = _batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    return y, (mean, var)


def assigning_batch_norm(x, running_mean, running_var, weight, bias, training=True, momentum=0.1, eps=1e-5):
    """Assigns to the running statistics that it is given."""
    y, mean, var = _batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    if training and running_mean is not None:
        running_mean.assign(mean)
        running_var.assign(var)
    return y


instance = nn.LayerNorm(16)
jitted = TinyJit(layer_norm)


class LayerNorm:
    """A plain class, as tinygrad has its layers, with statistics in a wide format."""

    def __init__(self, dim, eps=1e-5):
        self.weight, self.bias, self.eps = Tensor.ones(dim), Tensor.zeros(dim), eps

    def __call__(self, x):
        return layer_norm(x, self.weight, self.bias, self.eps)


class RMSNorm:
    """Computes in the format of its input; that of tinygrad.nn computes in float32, also for float64."""

    def __init__(self, dim, eps=1e-6):
        self.weight, self.eps = Tensor.ones(dim), eps

    def __call__(self, x):
        return rms_norm(x, self.weight, self.eps)
