"""Functions of one shard in JAX, mapped over a named axis of devices: right, each in another style."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def sync_batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps, axis_name):
    """The mean over devices of means, then that of squared deviations: all shards have one size."""
    h, axes, shape = wide(x), (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
    if training:
        n = x.size // x.shape[1] * jax.lax.psum(1, axis_name)
        mean = jax.lax.pmean(h.mean(axes), axis_name)
        var = jax.lax.pmean(jnp.square(h - mean.reshape(shape)).mean(axes), axis_name)
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * var * n / (n - 1)
    else:
        mean, var = wide(running_mean), wide(running_var)
    y = (h - mean.reshape(shape)) * jax.lax.rsqrt(var + eps).reshape(shape)
    if weight is not None:
        y = y * weight.reshape(shape) + bias.reshape(shape)
    return y.astype(x.dtype), running_mean.astype(x.dtype), running_var.astype(x.dtype)


def rms_norm_of_a_divided_width(x, weight=None, eps=1e-6):
    """It names its axis itself."""
    h = wide(x)
    n = jax.lax.psum(x.shape[-1], "model")
    y = h * jax.lax.rsqrt(jax.lax.psum(jnp.square(h).sum(-1, keepdims=True), "model") / n + eps)
    return (y if weight is None else y * weight).astype(x.dtype)


def layer_norm_of_a_divided_width(x, weight=None, bias=None, eps=1e-6, axis_name="model"):
    """The shards are gathered, and each device takes its own part."""
    h = jax.lax.all_gather(wide(x), axis_name, axis=x.ndim - 1, tiled=True)
    h = h - h.mean(-1, keepdims=True)
    h = h * jax.lax.rsqrt(jnp.square(h).mean(-1, keepdims=True) + eps)
    y = jax.lax.dynamic_slice_in_dim(h, jax.lax.axis_index(axis_name) * x.shape[-1], x.shape[-1], x.ndim - 1)
    return (y if weight is None else y * weight + bias).astype(x.dtype)


def rms_norm_of_divided_rows(x, weight=None, eps=1e-6):
    """Rows are whole: nothing is shared, and JAX sums the gradient of a replicated weight."""
    h = wide(x)
    y = h * jax.lax.rsqrt(jnp.square(h).mean(-1, keepdims=True) + eps)
    return (y if weight is None else y * weight).astype(x.dtype)
