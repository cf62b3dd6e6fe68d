"""Layers of Keras 3, each wrong in one way, which its name tells."""

import keras
from keras import ops


class _Norm(keras.layers.Layer):
    """What all of them share: variables, and the output from what `normalized` returns."""

    def __init__(self, epsilon=1e-5):
        super().__init__()
        self.epsilon = epsilon

    def build(self, input_shape):
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="beta")

    def call(self, x):
        h = x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")
        return self.affine(self.normalized(h), ops.cast(self.gamma, h.dtype), ops.cast(self.beta, h.dtype), x)

    def affine(self, xh, gamma, beta, x):
        return ops.cast(xh * gamma + beta, x.dtype)

    def mean(self, h):
        return ops.mean(h, -1, keepdims=True)

    def variance(self, h):
        return ops.mean(ops.square(h - self.mean(h)), -1, keepdims=True)

    def normalized(self, h):
        return (h - self.mean(h)) / ops.sqrt(self.variance(h) + self.epsilon)


class EpsOutsideRoot(_Norm):
    def normalized(self, h):
        return (h - self.mean(h)) / (ops.sqrt(self.variance(h)) + self.epsilon)


class VarianceUnbiased(_Norm):
    def variance(self, h):
        n = h.shape[-1]
        return super().variance(h) * (n / max(n - 1, 1))


class MeanKeptInNumerator(_Norm):
    def normalized(self, h):
        return h / ops.sqrt(self.variance(h) + self.epsilon)


class OnePassVariance(_Norm):
    def variance(self, h):
        return ops.relu(ops.mean(ops.square(h), -1, keepdims=True) - ops.square(self.mean(h)))


class AffineIgnored(_Norm):
    def affine(self, xh, gamma, beta, x):
        return ops.cast(xh, x.dtype)


class NoBias(_Norm):
    def affine(self, xh, gamma, beta, x):
        return ops.cast(xh * gamma, x.dtype)


class GainOnePlusWeight(_Norm):
    def affine(self, xh, gamma, beta, x):
        return ops.cast(xh * (1 + gamma) + beta, x.dtype)


class MeanConstant(_Norm):
    def mean(self, h):
        return ops.stop_gradient(super().mean(h))


class VarianceConstant(_Norm):
    def variance(self, h):
        return ops.stop_gradient(super().variance(h))


class NarrowInside(_Norm):
    def normalized(self, h):
        return ops.cast(super().normalized(ops.cast(h, "bfloat16")), h.dtype)


class TailDropped(_Norm):
    def normalized(self, h):
        n = h.shape[-1]
        body = h[..., : n // 4 * 4] if n >= 4 else h
        return (h - self.mean(body)) / ops.sqrt(self.variance(body) + self.epsilon)


class OutputClipped(_Norm):
    def normalized(self, h):
        return ops.clip(super().normalized(h), -2.0, 2.0)


class OutputFloat32(_Norm):
    def affine(self, xh, gamma, beta, x):
        return ops.cast(xh * gamma + beta, "float32")


class EpsIgnored(_Norm):
    def normalized(self, h):
        return (h - self.mean(h)) / ops.sqrt(ops.maximum(self.variance(h), 1e-30))


class StaleStatistics(keras.layers.BatchNormalization):
    """In training it normalizes by the batch, and never tells its moving statistics."""

    def call(self, inputs, training=None, mask=None):
        before = self.moving_mean.value, self.moving_variance.value
        y = super().call(inputs, training=training)
        self.moving_mean.assign(before[0])
        self.moving_variance.assign(before[1])
        return y


class SmallStatistics(keras.layers.BatchNormalization):
    """Its moving variance is the moving deviation."""

    def call(self, inputs, training=None, mask=None):
        before = self.moving_variance.value
        y = super().call(inputs, training=training)
        if training:
            batch = (self.moving_variance - before * self.momentum) / (1 - self.momentum)
            self.moving_variance.assign(before * self.momentum + ops.sqrt(batch) * (1 - self.momentum))
        return y


class LosesItsEps(keras.layers.LayerNormalization):
    """Its configuration leaves out epsilon, so that a copy has another one."""

    def get_config(self):
        return {key: value for key, value in super().get_config().items() if key != "epsilon"}


instance = LosesItsEps(epsilon=1e-6)
