"""Normalizers as people write them in JAX."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

stable = functools.partial(jax.nn.standardize, algorithm="stable")


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    h = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = h.mean(axes, keepdims=True)
    y = (h - mean) * jax.lax.rsqrt(h.var(axes, keepdims=True) + eps)
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return y.astype(x.dtype)


@jax.jit
def jitted(x, scale=None, bias=None, *, epsilon=1e-6):
    return layer_norm(x, x.shape[-1:], scale, bias, epsilon)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def with_its_own_gradient(x, weight, bias, eps=1e-5):
    return _forward(x, weight, bias, eps)[0]


def _forward(x, weight, bias, eps):
    h = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    c = h - h.mean(-1, keepdims=True)
    r = jax.lax.rsqrt(jnp.square(c).mean(-1, keepdims=True) + eps)
    return (c * r * weight + bias).astype(x.dtype), (c * r, r, weight)


def _backward(eps, saved, dy):
    xh, r, weight = saved
    g = (dy * weight).astype(xh.dtype)
    dx = r * (g - g.mean(-1, keepdims=True) - xh * (g * xh).mean(-1, keepdims=True))
    rows = tuple(range(dy.ndim - 1))
    wide = dy.astype(xh.dtype)
    return dx.astype(dy.dtype), (wide * xh).sum(rows).astype(weight.dtype), wide.sum(rows).astype(weight.dtype)


with_its_own_gradient.defvjp(_forward, _backward)


def rms_norm(x, weight=None, eps=1e-6):
    h = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    y = h / jnp.sqrt(jnp.square(h).mean(-1, keepdims=True) + eps)
    return (y if weight is None else y * weight).astype(x.dtype)


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=True, momentum=0.1, eps=1e-5):
    axes = (0, *range(2, x.ndim))
    by_channel = lambda v: v.reshape(1, -1, *(1,) * (x.ndim - 2))
    wide = jnp.promote_types(x.dtype, jnp.float32)
    h = x.astype(wide)
    mean, var, state = running_mean.astype(wide), running_var.astype(wide), (running_mean, running_var)
    if training:
        mean, var = h.mean(axes), h.var(axes)
        n = x.size // x.shape[1]
        state = tuple(
            ((1 - momentum) * old + momentum * new).astype(old.dtype)
            for old, new in ((running_mean, mean), (running_var, var * (n / max(n - 1, 1))))
        )
    y = (h - by_channel(mean)) * jax.lax.rsqrt(by_channel(var) + eps)
    y = y if weight is None else y * by_channel(weight)
    y = y if bias is None else y + by_channel(bias)
    return y.astype(x.dtype), state


class GroupNorm(nnx.GroupNorm):
    """Channels last, as all of flax."""

    def __init__(self, num_features, num_groups, *, epsilon=1e-5, use_bias=True, use_scale=True, rngs):
        options = {"use_bias": use_bias, "use_scale": use_scale, "use_fast_variance": False}
        super().__init__(num_features, num_groups, epsilon=epsilon, rngs=rngs, **options)


class BatchNorm(nnx.BatchNorm):
    """Running statistics are kept in the layer, momentum is the weight of the old ones."""

    def __init__(self, num_features, *, momentum=0.9, epsilon=1e-5, use_bias=True, use_scale=True, rngs):
        options = {"use_bias": use_bias, "use_scale": use_scale, "use_fast_variance": False}
        super().__init__(num_features, momentum=momentum, epsilon=epsilon, rngs=rngs, **options)


class LayerNorm(nnx.LayerNorm):
    """The default of flax computes the variance in one pass, which is another accuracy class."""

    def __init__(self, num_features, *, epsilon=1e-5, use_bias=True, use_scale=True, rngs):
        options = {"use_bias": use_bias, "use_scale": use_scale, "use_fast_variance": False}
        super().__init__(num_features, epsilon=epsilon, rngs=rngs, **options)


instance = nnx.LayerNorm(12, use_fast_variance=False, rngs=nnx.Rngs(0))


def branches(x, weight, bias, eps=1e-5):
    """Reads the values of its input, so it cannot be compiled."""
    return layer_norm(x, x.shape[-1:], weight, bias, eps) if float(jnp.max(jnp.abs(x), initial=0.0)) >= 0.0 else x


def eps_as_a_number(x, weight, bias, eps=1e-5):
    if eps < 0.0:
        raise ValueError("eps is negative")
    return layer_norm(x, x.shape[-1:], weight, bias, eps)
