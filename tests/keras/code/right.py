"""Layers of Keras 3, right in several styles, on any backend."""

import math

import keras
from keras import ops


class LayerNorm(keras.layers.Layer):
    """Makes its variables in build, without names."""

    def __init__(self, epsilon=1e-5, use_bias=True):
        super().__init__()
        self.epsilon, self.use_bias, self.beta = epsilon, use_bias, None

    def build(self, input_shape):
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        if self.use_bias:
            self.beta = self.add_weight(shape=(input_shape[-1],), initializer="zeros")

    def call(self, x):
        h = x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")
        c = h - ops.mean(h, -1, keepdims=True)
        y = c * ops.rsqrt(ops.mean(ops.square(c), -1, keepdims=True) + self.epsilon)
        y = y * ops.cast(self.gamma, h.dtype)
        y = y if self.beta is None else y + ops.cast(self.beta, h.dtype)
        return ops.cast(y, x.dtype)


class RMSNorm(keras.layers.Layer):
    """Makes its variable in the constructor."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.scale = self.add_weight(shape=(dim,), initializer="ones")

    def call(self, x):
        h = x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")
        y = h * ops.rsqrt(ops.mean(ops.square(h), -1, keepdims=True) + self.eps)
        return ops.cast(y * ops.cast(self.scale, h.dtype), x.dtype)


class Around(keras.layers.Layer):
    """Its variables are those of a layer inside it."""

    def __init__(self, epsilon=1e-5):
        super().__init__()
        self.inner = keras.layers.LayerNormalization(epsilon=epsilon)

    def call(self, x):
        return self.inner(x)


def layer_norm(x, gamma=None, beta=None, epsilon=1e-5):
    """A function of Keras's operations."""
    h = x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")
    c = h - ops.mean(h, -1, keepdims=True)
    y = c * ops.rsqrt(ops.mean(ops.square(c), -1, keepdims=True) + epsilon)
    y = y if gamma is None else y * ops.cast(gamma, h.dtype)
    y = y if beta is None else y + ops.cast(beta, h.dtype)
    return ops.cast(y, x.dtype)


class BatchNorm(keras.layers.Layer):
    """With the conventions of torch: momentum is the weight of the batch, and the moving variance divides by n - 1."""

    def __init__(self, momentum=0.1, epsilon=1e-5):
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape):
        units = (input_shape[-1],)
        self.gamma = self.add_weight(shape=units, initializer="ones")
        self.beta = self.add_weight(shape=units, initializer="zeros")
        self.moving_mean = self.add_weight(shape=units, initializer="zeros", trainable=False)
        self.moving_var = self.add_weight(shape=units, initializer="ones", trainable=False)

    def call(self, x, training=False):
        h = x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")
        mean, var = ops.cast(self.moving_mean, h.dtype), ops.cast(self.moving_var, h.dtype)
        if training:
            axes = tuple(range(len(x.shape) - 1))
            n, old, m = math.prod(x.shape[:-1]), (mean, var), self.momentum
            mean = ops.mean(h, axes)
            var = ops.mean(ops.square(h - mean), axes)
            self.moving_mean.assign((1 - m) * old[0] + m * mean)
            self.moving_var.assign((1 - m) * old[1] + m * var * (n / max(n - 1, 1)))
        y = (h - mean) * ops.rsqrt(var + self.epsilon)
        return ops.cast(y * ops.cast(self.gamma, h.dtype) + ops.cast(self.beta, h.dtype), x.dtype)


unbuilt = keras.layers.LayerNormalization(epsilon=1e-5)
instance = LayerNorm()
instance(ops.ones((2, 16)))
first_axis = keras.layers.BatchNormalization(axis=1, epsilon=1e-5)
