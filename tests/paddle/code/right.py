"""Normalizers in PaddlePaddle, right in several styles."""

import paddle
from paddle import nn


def _wide(x):
    return x if x.dtype in (paddle.float32, paddle.float64) else x.astype("float32")


def layer_norm(x, weight=None, bias=None, eps=1e-5):
    h = _wide(x)
    c = h - h.mean(-1, keepdim=True)
    y = c * paddle.rsqrt(paddle.square(c).mean(-1, keepdim=True) + eps)
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return y.astype(x.dtype)


def rms_norm(x, weight, eps=1e-6):
    h = _wide(x)
    return (h * paddle.rsqrt(paddle.square(h).mean(-1, keepdim=True) + eps) * weight).astype(x.dtype)


def batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=True, momentum=0.1, eps=1e-5):
    """With the running statistics after the call."""
    h = _wide(x)
    axes = tuple(a for a in range(x.ndim) if a != 1)
    shape = [1, -1] + [1] * (x.ndim - 2)
    if training:
        mean = h.mean(axes)
        var = paddle.square(h - mean.reshape(shape)).mean(axes)
        n = x.size // x.shape[1]
        if running_mean is not None:
            unbiased = var * (n / max(n - 1, 1))
            running_mean = ((1 - momentum) * running_mean + momentum * mean).astype(x.dtype)
            running_var = ((1 - momentum) * running_var + momentum * unbiased).astype(x.dtype)
    else:
        mean, var = running_mean, running_var
    y = (h - mean.reshape(shape)) / paddle.sqrt(var.reshape(shape) + eps)
    y = y if weight is None else y * weight.reshape(shape)
    y = y if bias is None else y + bias.reshape(shape)
    return y.astype(x.dtype), (running_mean, running_var)


instance = nn.LayerNorm(16)


class LayerNorm(nn.Layer):
    """Written in basic operators."""

    def __init__(self, dims, eps=1e-5):
        super().__init__()
        self.weight = self.create_parameter([dims], default_initializer=nn.initializer.Constant(1.0))
        self.bias = self.create_parameter([dims], is_bias=True)
        self.eps = eps

    def forward(self, x):
        return layer_norm(x, self.weight, self.bias, self.eps)


class BatchNorm(nn.Layer):
    """With an eps in the format of the input and the momentum of the paper's code; paddle.nn has an eps of float32."""

    def __init__(self, num_features, momentum=0.1, eps=1e-5):
        super().__init__()
        self.weight = self.create_parameter([num_features], default_initializer=nn.initializer.Constant(1.0))
        self.bias = self.create_parameter([num_features], is_bias=True)
        self.register_buffer("running_mean", paddle.zeros([num_features]))
        self.register_buffer("running_var", paddle.ones([num_features]))
        self.momentum, self.eps = momentum, eps

    def forward(self, x):
        held = self.running_mean, self.running_var
        y, state = batch_norm(x, *held, self.weight, self.bias, self.training, self.momentum, self.eps)
        if self.training:
            for own, new in zip(held, state):
                own.set_value(new.detach())
        return y
