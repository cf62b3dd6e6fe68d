"""Functions of one shard in JAX, each with one mistake."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from mapped_right import wide


def _batch_norm(x, statistics, running_mean, running_var, weight, bias, training, momentum, eps, axis_name):
    h, axes, shape = wide(x), (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
    if training:
        n = x.size // x.shape[1] * jax.lax.psum(1, axis_name)
        mean, var = statistics(h, axes, shape, axis_name)
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * var * n / (n - 1)
    else:
        mean, var = wide(running_mean), wide(running_var)
    y = (h - mean.reshape(shape)) * jax.lax.rsqrt(var + eps).reshape(shape)
    if weight is not None:
        y = y * weight.reshape(shape) + bias.reshape(shape)
    return y.astype(x.dtype), running_mean.astype(x.dtype), running_var.astype(x.dtype)


def without_psum(x, running_mean, running_var, weight, bias, training, momentum, eps, axis_name):
    """The statistics of its own shard."""

    def own(h, axes, shape, axis_name):
        return h.mean(axes), h.var(axes)

    return _batch_norm(x, own, running_mean, running_var, weight, bias, training, momentum, eps, axis_name)


def mean_of_variances(x, running_mean, running_var, weight, bias, training, momentum, eps, axis_name):
    """What lies between the means of shards is left out."""

    def averaged(h, axes, shape, axis_name):
        return jax.lax.pmean(h.mean(axes), axis_name), jax.lax.pmean(h.var(axes), axis_name)

    return _batch_norm(x, averaged, running_mean, running_var, weight, bias, training, momentum, eps, axis_name)


def constant_statistics(x, running_mean, running_var, weight, bias, training, momentum, eps, axis_name):
    """No gradient passes through what is shared."""

    def stopped(h, axes, shape, axis_name):
        mean = jax.lax.pmean(h.mean(axes), axis_name)
        var = jax.lax.pmean(jnp.square(h - mean.reshape(shape)).mean(axes), axis_name)
        return jax.lax.stop_gradient(mean), jax.lax.stop_gradient(var)

    return _batch_norm(x, stopped, running_mean, running_var, weight, bias, training, momentum, eps, axis_name)


def running_of_the_shard(x, running_mean, running_var, weight, bias, training, momentum, eps, axis_name):
    """Each device moves its running mean by its own shard."""

    def right(h, axes, shape, axis_name):
        mean = jax.lax.pmean(h.mean(axes), axis_name)
        return mean, jax.lax.pmean(jnp.square(h - mean.reshape(shape)).mean(axes), axis_name)

    y, _, _ = _batch_norm(x, right, running_mean, running_var, weight, bias, training, momentum, eps, axis_name)
    if training:
        axes = (0, *range(2, x.ndim))
        n, h = x.size // x.shape[1], wide(x)
        running_mean = (1 - momentum) * running_mean + momentum * h.mean(axes)
        running_var = (1 - momentum) * running_var + momentum * h.var(axes) * n / max(n - 1, 1)
    return y, running_mean.astype(x.dtype), running_var.astype(x.dtype)


def local_count(x, weight=None, eps=1e-6, axis_name="model"):
    """The sum of squares of all devices, divided by the local width."""
    h = wide(x)
    y = h * jax.lax.rsqrt(jax.lax.psum(jnp.square(h).sum(-1, keepdims=True), axis_name) / x.shape[-1] + eps)
    return (y if weight is None else y * weight).astype(x.dtype)


def weight_summed_again(x, weight=None, eps=1e-6, axis_name="data"):
    """It sums the gradient of a replicated weight, which JAX does once more."""

    @jax.custom_vjp
    def copied(w):
        return w

    copied.defvjp(lambda w: (w, None), lambda _, g: (jax.lax.psum(g, axis_name),))
    h = wide(x)
    y = h * jax.lax.rsqrt(jnp.square(h).mean(-1, keepdims=True) + eps)
    return (y if weight is None else y * copied(weight)).astype(x.dtype)


class Layer:
    """No function."""

    def __call__(self, x):
        return jnp.tanh(x)
