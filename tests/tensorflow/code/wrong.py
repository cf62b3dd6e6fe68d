"""Normalizers in TensorFlow, each wrong in one way, which its name tells."""

import tensorflow as tf


def _wide(x):
    return x if x.dtype in (tf.float32, tf.float64) else tf.cast(x, tf.float32)


def _affine(xh, x, weight, bias):
    return tf.cast(xh * tf.cast(weight, xh.dtype) + tf.cast(bias, xh.dtype), x.dtype)


def _statistics(x):
    h = _wide(x)
    return h, tf.reduce_mean(h, -1, keepdims=True), tf.math.reduce_variance(h, -1, keepdims=True)


def eps_outside_root(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / (tf.sqrt(var) + eps), x, weight, bias)


def variance_unbiased(x, weight, bias, eps=1e-5):
    h = _wide(x)
    n = x.shape[-1]
    var = tf.math.reduce_variance(h, -1, keepdims=True) * (n / max(n - 1, 1))
    return _affine((h - tf.reduce_mean(h, -1, keepdims=True)) / tf.sqrt(var + eps), x, weight, bias)


def mean_kept_in_numerator(x, weight, bias, eps=1e-5):
    h, _, var = _statistics(x)
    return _affine(h / tf.sqrt(var + eps), x, weight, bias)


def one_pass_variance(x, weight, bias, eps=1e-5):
    h = _wide(x)
    mean = tf.reduce_mean(h, -1, keepdims=True)
    var = tf.maximum(tf.reduce_mean(tf.square(h), -1, keepdims=True) - tf.square(mean), 0.0)
    return _affine((h - mean) / tf.sqrt(var + eps), x, weight, bias)


def affine_ignored(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return tf.cast((h - mean) / tf.sqrt(var + eps), x.dtype)


def gain_one_plus_weight(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / tf.sqrt(var + eps), x, 1 + weight, bias)


def mean_constant(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    mean = tf.stop_gradient(mean)
    return _affine((h - mean) / tf.sqrt(tf.reduce_mean(tf.square(h - mean), -1, keepdims=True) + eps), x, weight, bias)


def variance_constant(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / tf.sqrt(tf.stop_gradient(var) + eps), x, weight, bias)


def narrow_inside(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(tf.cast(x, tf.bfloat16))
    return _affine((h - mean) / tf.sqrt(var + eps), x, weight, bias)


def tail_dropped(x, weight, bias, eps=1e-5):
    h = _wide(x)
    n = x.shape[-1]
    body = h[..., : n // 4 * 4] if n >= 4 else h
    mean, var = tf.reduce_mean(body, -1, keepdims=True), tf.math.reduce_variance(body, -1, keepdims=True)
    return _affine((h - mean) / tf.sqrt(var + eps), x, weight, bias)


def output_clipped(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine(tf.clip_by_value((h - mean) / tf.sqrt(var + eps), -2.0, 2.0), x, weight, bias)


def output_float32(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return tf.cast(_affine((h - mean) / tf.sqrt(var + eps), h, weight, bias), tf.float32)


def eps_ignored(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / tf.sqrt(tf.maximum(var, 1e-30)), x, weight, bias)


@tf.custom_gradient
def weight_gradient_halved(x, weight, bias):
    h, mean, var = _statistics(x)
    r = tf.math.rsqrt(var + 1e-5)
    xh, w = (h - mean) * r, tf.cast(weight, h.dtype)

    def grad(dy):
        d = tf.cast(dy, h.dtype)
        g = d * w
        dx = r * (g - tf.reduce_mean(g, -1, keepdims=True) - xh * tf.reduce_mean(g * xh, -1, keepdims=True))
        rows = list(range(x.shape.rank - 1))
        dw, db = 0.5 * tf.reduce_sum(d * xh, rows), tf.reduce_sum(d, rows)
        return tf.cast(dx, x.dtype), tf.cast(dw, weight.dtype), tf.cast(db, bias.dtype)

    return _affine(xh, x, weight, bias), grad


class NoBias(tf.Module):
    """Forgets its bias."""

    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = tf.Variable(tf.ones(dim)), tf.Variable(tf.zeros(dim)), eps

    def __call__(self, x):
        h, mean, var = _statistics(x)
        return _affine((h - mean) / tf.sqrt(var + self.eps), x, self.weight, tf.zeros_like(self.bias))


class StaleStatistics(tf.Module):
    """A batch norm that never updates its moving statistics."""

    def __init__(self, channels, momentum=0.1, eps=1e-5):
        super().__init__()
        self.gamma, self.beta = tf.Variable(tf.ones(channels)), tf.Variable(tf.zeros(channels))
        self.moving_mean = tf.Variable(tf.zeros(channels), trainable=False)
        self.moving_var = tf.Variable(tf.ones(channels), trainable=False)
        self.momentum, self.eps = momentum, eps

    def __call__(self, x, training=False):
        h = _wide(x)
        mean, var = self.moving_mean, self.moving_var
        if training:
            mean, var = tf.nn.moments(h, axes=list(range(x.shape.rank - 1)))
        return _affine(
            (h - tf.cast(mean, h.dtype)) / tf.sqrt(tf.cast(var, h.dtype) + self.eps), x, self.gamma, self.beta
        )
