"""Normalizers in TensorFlow, right in several styles."""

import tensorflow as tf


def _wide(x):
    return x if x.dtype in (tf.float32, tf.float64) else tf.cast(x, tf.float32)


def layer_norm(x, weight=None, bias=None, eps=1e-5):
    h = _wide(x)
    c = h - tf.reduce_mean(h, -1, keepdims=True)
    y = c * tf.math.rsqrt(tf.reduce_mean(tf.square(c), -1, keepdims=True) + eps)
    y = y if weight is None else y * tf.cast(weight, h.dtype)
    y = y if bias is None else y + tf.cast(bias, h.dtype)
    return tf.cast(y, x.dtype)


compiled = tf.function(layer_norm)


def by_moments(x, gamma, beta, epsilon=1e-5):
    """By TensorFlow's operators, as its guides write it; tf.nn.moments has a wrong second derivative."""
    h = _wide(x)
    mean, var = tf.nn.moments(h, axes=[-1], keepdims=True)
    y = tf.nn.batch_normalization(h, mean, var, tf.cast(beta, h.dtype), tf.cast(gamma, h.dtype), epsilon)
    return tf.cast(y, x.dtype)


@tf.custom_gradient
def with_its_own_gradient(x, weight, bias):
    h, eps = _wide(x), 1e-5
    mean, var = tf.nn.moments(h, axes=[-1], keepdims=True)
    r = tf.math.rsqrt(var + eps)
    xh = (h - mean) * r
    w = tf.cast(weight, h.dtype)

    def grad(dy):
        d = tf.cast(dy, h.dtype)
        rows = list(range(x.shape.rank - 1))
        g = d * w
        dx = r * (g - tf.reduce_mean(g, -1, keepdims=True) - xh * tf.reduce_mean(g * xh, -1, keepdims=True))
        dw, db = tf.reduce_sum(d * xh, rows), tf.reduce_sum(d, rows)
        return tf.cast(dx, x.dtype), tf.cast(dw, weight.dtype), tf.cast(db, bias.dtype)

    return tf.cast(xh * w + tf.cast(bias, h.dtype), x.dtype), grad


def rms_norm(x, weight, eps=1e-6):
    h = _wide(x)
    y = h * tf.math.rsqrt(tf.reduce_mean(tf.square(h), -1, keepdims=True) + eps)
    return tf.cast(y * tf.cast(weight, h.dtype), x.dtype)


def _grouped(x, groups, weight, bias, eps):
    h = _wide(x)
    parts = tf.reshape(h, (x.shape[0], groups, -1))
    mean, var = tf.nn.moments(parts, axes=[-1], keepdims=True)
    y = tf.reshape((parts - mean) / tf.sqrt(var + eps), x.shape)
    shape = (1, -1) + (1,) * (x.shape.rank - 2)
    y = y if weight is None else y * tf.cast(tf.reshape(weight, shape), h.dtype)
    y = y if bias is None else y + tf.cast(tf.reshape(bias, shape), h.dtype)
    return tf.cast(y, x.dtype)


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    return _grouped(x, num_groups, weight, bias, eps)


def instance_norm(x, weight=None, bias=None, eps=1e-5):
    return _grouped(x, x.shape[1], weight, bias, eps)


def batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=True, momentum=0.1, eps=1e-5):
    """With the running statistics after the call."""
    h = _wide(x)
    axes = [a for a in range(x.shape.rank) if a != 1]
    shape = (1, -1) + (1,) * (x.shape.rank - 2)
    if training:
        mean, var = tf.nn.moments(h, axes=axes)
        n = x.shape.num_elements() // x.shape[1]
        if running_mean is not None:
            unbiased = tf.cast(var * (n / max(n - 1, 1)), x.dtype)
            running_mean = (1 - momentum) * running_mean + momentum * tf.cast(mean, x.dtype)
            running_var = (1 - momentum) * running_var + momentum * unbiased
    else:
        mean, var = tf.cast(running_mean, h.dtype), tf.cast(running_var, h.dtype)
    y = (h - tf.reshape(mean, shape)) / tf.sqrt(tf.reshape(var, shape) + eps)
    y = y if weight is None else y * tf.cast(tf.reshape(weight, shape), h.dtype)
    y = y if bias is None else y + tf.cast(tf.reshape(bias, shape), h.dtype)
    return tf.cast(y, x.dtype), (running_mean, running_var)


def batch_norm_in_place(x, gamma, beta, moving_mean, moving_var, training, momentum=0.1, epsilon=1e-5):
    """The moving statistics are variables, which are assigned to."""
    y, (mean, var) = batch_norm(x, moving_mean, moving_var, gamma, beta, training, momentum, epsilon)
    if training:
        moving_mean.assign(mean)
        moving_var.assign(var)
    return y


def batch_norm_channels_last(x, gamma, beta, moving_mean, moving_var, training, momentum=0.1, epsilon=1e-5):
    """As convolutions of TensorFlow have it: (cases, height, width, channels)."""
    h = _wide(x)
    if training:
        mean, var = tf.nn.moments(h, axes=list(range(x.shape.rank - 1)))
        n = x.shape.num_elements() // x.shape[-1]
        moving_mean.assign((1 - momentum) * moving_mean + momentum * tf.cast(mean, x.dtype))
        moving_var.assign((1 - momentum) * moving_var + momentum * tf.cast(var * (n / max(n - 1, 1)), x.dtype))
    else:
        mean, var = tf.cast(moving_mean, h.dtype), tf.cast(moving_var, h.dtype)
    y = tf.nn.batch_normalization(h, mean, var, tf.cast(beta, h.dtype), tf.cast(gamma, h.dtype), epsilon)
    return tf.cast(y, x.dtype)


class LayerNorm(tf.Module):
    def __init__(self, dim, eps=1e-5, name=None):
        super().__init__(name=name)
        self.gamma, self.beta, self.eps = tf.Variable(tf.ones(dim)), tf.Variable(tf.zeros(dim)), eps

    def __call__(self, x):
        return layer_norm(x, self.gamma, self.beta, self.eps)


class LazyRMSNorm(tf.Module):
    """Makes its variable in its first call."""

    def __init__(self, eps=1e-6):
        super().__init__()
        self.eps, self.scale = eps, None

    def __call__(self, x):
        if self.scale is None:
            self.scale = tf.Variable(tf.ones(x.shape[-1], x.dtype))
        return rms_norm(x, self.scale, self.eps)


class BatchNorm(tf.Module):
    """Channels in the last axis."""

    def __init__(self, channels, momentum=0.1, eps=1e-5):
        super().__init__()
        self.gamma, self.beta = tf.Variable(tf.ones(channels)), tf.Variable(tf.zeros(channels))
        self.moving_mean = tf.Variable(tf.zeros(channels), trainable=False)
        self.moving_var = tf.Variable(tf.ones(channels), trainable=False)
        self.momentum, self.eps = momentum, eps

    def __call__(self, x, training=False):
        own = (self.gamma, self.beta, self.moving_mean, self.moving_var)
        return batch_norm_channels_last(x, *own, training, self.momentum, self.eps)


class GroupNorm(tf.Module):
    """Channels in axis 1."""

    def __init__(self, groups, channels, eps=1e-5):
        super().__init__()
        self.groups, self.eps = groups, eps
        self.gamma, self.beta = tf.Variable(tf.ones(channels)), tf.Variable(tf.zeros(channels))

    def __call__(self, x):
        return group_norm(x, self.groups, self.gamma, self.beta, self.eps)


instance = LayerNorm(16)


def masked_instance_norm(x, mask, weight=None, bias=None, eps=1e-5):
    kept = tf.cast(tf.expand_dims(mask, 1), x.dtype) + tf.zeros_like(x)
    axes = list(range(2, x.shape.rank))
    count = tf.maximum(tf.reduce_sum(kept, axes, keepdims=True), 1)
    centered = (x - tf.reduce_sum(x * kept, axes, keepdims=True) / count) * kept
    y = centered * tf.math.rsqrt(tf.reduce_sum(centered * centered, axes, keepdims=True) / count + eps)
    units = [1, -1] + [1] * (x.shape.rank - 2)
    y = y if weight is None else y * tf.reshape(weight, units)
    return y if bias is None else y + tf.reshape(bias, units)


def mask_of_first_case(x, mask, weight=None, bias=None, eps=1e-5):
    """Wrong: the mask of the first case for every case."""
    return masked_instance_norm(x, mask[:1] if mask.shape.rank > 1 else mask, weight, bias, eps)
