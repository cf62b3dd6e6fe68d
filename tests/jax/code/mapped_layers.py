"""Layers of flax that share statistics over a named axis, as people write them: right and wrong."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen, nnx


class Whole(nnx.BatchNorm):
    """Right, in two passes; its momentum and its divisor are those of torch."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, axis_name=None, *, rngs):
        super().__init__(num_features, axis=1, epsilon=eps, momentum=momentum, axis_name=axis_name,
                         use_fast_variance=False, rngs=rngs)  # fmt: skip

    def total(self, x):
        return jax.lax.psum(x, self.axis_name)

    def __call__(self, x):
        if self.use_running_average:
            return super().__call__(x)
        axes, shape = (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
        h = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        n = self.total(x.size // x.shape[1])
        mean = self.total(h.sum(axes)) / n
        c = h - mean.reshape(shape)
        var = self.total(jnp.square(c).sum(axes)) / n
        self.move(mean, var * n / (n - 1))
        y = c * jax.lax.rsqrt(var + self.epsilon).reshape(shape)
        return (y * self.scale[...].reshape(shape) + self.bias[...].reshape(shape)).astype(x.dtype)

    def move(self, mean, var):
        for own, new in ((self.mean, mean), (self.var, var)):
            old = own[...]
            own[...] = ((1 - self.momentum) * old + self.momentum * new).astype(old.dtype)


class Silent(Whole):
    """It is told the name of the axis, and shares nothing."""

    def total(self, x):
        return x


class Constant(Whole):
    """The shared statistics are constants."""

    def total(self, x):
        return jax.lax.stop_gradient(super().total(x))


class LocalRunning(Whole):
    """Its running statistics are those of device 0, elsewhere others."""

    def move(self, mean, var):
        super().move(mean + 0.125 * jax.lax.axis_index(self.axis_name), var)


class Linen(linen.Module):
    """Right: a layer around that of flax, which names its axis itself and is told in the call whether it trains."""

    epsilon: float = 1e-5
    momentum: float = 0.9

    @linen.compact
    def __call__(self, x, train: bool):
        own = linen.BatchNorm(not train, axis=1, epsilon=self.epsilon, momentum=self.momentum, axis_name="data",
                              use_fast_variance=False)  # fmt: skip
        return own(x)


class LinenAlone(linen.Module):
    """It does not pass on the name of the axis."""

    epsilon: float = 1e-5
    momentum: float = 0.9
    axis_name: str | None = None

    @linen.compact
    def __call__(self, x, train: bool):
        return linen.BatchNorm(not train, axis=1, epsilon=self.epsilon, momentum=self.momentum)(x)


class Width(nnx.Module):
    """RMS norm of a divided width."""

    def __init__(self, features, eps=1e-6, axis_name="model"):
        self.scale, self.eps, self.axis_name = nnx.Param(jnp.ones(features)), eps, axis_name

    def __call__(self, x):
        h = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        n = jax.lax.psum(x.shape[-1], self.axis_name)
        y = h * jax.lax.rsqrt(jax.lax.psum(jnp.square(h).sum(-1, keepdims=True), self.axis_name) / n + self.eps)
        return (y * self.scale[...]).astype(x.dtype)


class Needs(nnx.Module):
    """It requires what no kind gives it."""

    def __init__(self, num_features, mesh):
        self.scale = nnx.Param(jnp.ones(num_features))


class Breaks(nnx.Module):
    def __init__(self, num_features):
        raise ValueError("no such size")


made = linen.BatchNorm(axis_name="data")
