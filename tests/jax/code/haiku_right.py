"""Normalizers as people write them in Haiku: classes, and transformed functions."""

import haiku as hk
import jax
import jax.numpy as jnp


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class LayerNorm(hk.Module):
    def __init__(self, eps=1e-5, name=None):
        super().__init__(name=name)
        self.eps = eps

    def __call__(self, x):
        h, shape = _wide(x), x.shape[-1:]
        scale = hk.get_parameter("scale", shape, x.dtype, init=jnp.ones)
        offset = hk.get_parameter("offset", shape, x.dtype, init=jnp.zeros)
        c = h - h.mean(-1, keepdims=True)
        r = jax.lax.rsqrt(jnp.square(c).mean(-1, keepdims=True) + self.eps)
        return (c * r * scale + offset).astype(x.dtype)


class BatchNorm(hk.Module):
    """Channels first, with statistics of the torch kind."""

    def __init__(self, momentum=0.1, eps=1e-5, name=None):
        super().__init__(name=name)
        self.momentum, self.eps = momentum, eps

    def __call__(self, x, is_training):
        h, shape = _wide(x), x.shape[1:2]
        by_channel = lambda v: v.reshape(1, -1, *(1,) * (x.ndim - 2))
        axes = (0, *range(2, x.ndim))
        old = {
            "moving_mean": hk.get_state("moving_mean", shape, x.dtype, init=jnp.zeros),
            "moving_var": hk.get_state("moving_var", shape, x.dtype, init=jnp.ones),
        }
        mean, var = (one.astype(h.dtype) for one in old.values())
        if is_training:
            mean, var = h.mean(axes), h.var(axes)
            n = x.size // x.shape[1]
            for name, new in (("moving_mean", mean), ("moving_var", var * (n / max(n - 1, 1)))):
                hk.set_state(name, (old[name] + self.momentum * (new - old[name])).astype(x.dtype))
        y = (h - by_channel(mean)) * jax.lax.rsqrt(by_channel(var) + self.eps)
        y = y * by_channel(hk.get_parameter("scale", shape, x.dtype, init=jnp.ones))
        return (y + by_channel(hk.get_parameter("offset", shape, x.dtype, init=jnp.zeros))).astype(x.dtype)


transformed = hk.transform(lambda x: LayerNorm()(x))
without_key = hk.without_apply_rng(hk.transform(lambda x: LayerNorm()(x)))
groups = hk.transform_with_state(lambda x: hk.GroupNorm(2)(x))
