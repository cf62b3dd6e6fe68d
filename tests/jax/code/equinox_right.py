"""Normalizers as people write them in Equinox: for one example or a batch, with a state or without."""

import equinox as eqx
import jax
import jax.numpy as jnp


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class ForOneExample(eqx.Module):
    """The mean is that of the whole array, which is one example."""

    weight: jax.Array
    bias: jax.Array
    eps: float = eqx.field(static=True)

    def __init__(self, size, eps=1e-5):
        self.weight, self.bias, self.eps = jnp.ones(size), jnp.zeros(size), eps

    def __call__(self, x, *, key=None):
        h = _wide(x)
        c = h - jnp.mean(h)
        return (c / jnp.sqrt(jnp.mean(c**2) + self.eps) * self.weight + self.bias).astype(x.dtype)


class ForABatch(eqx.Module):
    """The mean is that of the last axis, however many there are."""

    gamma: jax.Array
    beta: jax.Array
    eps: float

    def __init__(self, dim, eps=1e-5, *, key):
        self.gamma, self.beta, self.eps = jnp.ones(dim), jnp.zeros(dim), eps

    def __call__(self, x):
        h = _wide(x)
        c = h - h.mean(-1, keepdims=True)
        return (c * jax.lax.rsqrt(jnp.square(c).mean(-1, keepdims=True) + self.eps) * self.gamma + self.beta).astype(
            x.dtype
        )


class ForASequence(eqx.Module):
    """Takes two axes, of positions and units."""

    weight: jax.Array
    eps: float

    def __init__(self, size, eps=1e-6):
        self.weight, self.eps = jnp.ones(size), eps

    def __call__(self, x):
        length, size = x.shape
        h = _wide(x)
        r = jax.lax.rsqrt(jnp.square(h).mean(1).reshape(length, 1) + self.eps)
        return (h * r * self.weight.reshape(1, size)).astype(x.dtype)


class OtherNames(eqx.Module):
    """Its parameters are known by the values that they start with."""

    p: jax.Array
    q: jax.Array

    def __init__(self, size):
        self.p, self.q = jnp.ones(size), jnp.zeros(size)

    def __call__(self, x):
        h = _wide(x)
        c = h - jnp.mean(h)
        return (c / jnp.sqrt(jnp.mean(c**2) + 1e-5) * self.p + self.q).astype(x.dtype)


class StartsAtZero(ForOneExample):
    """As the last layer of a branch that is nothing at the start of training."""

    def __init__(self, size, eps=1e-5):
        self.weight, self.bias, self.eps = jnp.zeros(size), jnp.zeros(size), eps


class FromArrays(eqx.Module):
    """A dataclass: an instance is made from its arrays."""

    weight: jax.Array
    bias: jax.Array
    eps: float = 1e-5

    def __call__(self, x):
        return ForOneExample.__call__(self, x)


class BatchNorm(eqx.Module):
    """With statistics of the torch kind in one state, and an axis whose name is written in the code."""

    weight: jax.Array
    bias: jax.Array
    seen: eqx.nn.StateIndex
    inference: bool
    eps: float
    momentum: float

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        self.weight, self.bias = jnp.ones(channels), jnp.zeros(channels)
        self.seen = eqx.nn.StateIndex({"a": jnp.zeros(channels), "b": jnp.ones(channels)})
        self.inference, self.eps, self.momentum = False, eps, momentum

    def __call__(self, x, state, *, key=None):
        h = _wide(x)
        by_channel = lambda v: v.reshape(-1, *(1,) * (x.ndim - 1))
        old = state.get(self.seen)
        mean, var = old["a"].astype(h.dtype), old["b"].astype(h.dtype)
        if not self.inference:
            space = tuple(range(1, x.ndim))
            mean = jax.lax.pmean(h.mean(space), "examples")
            var = jax.lax.pmean(jnp.square(h - by_channel(mean)).mean(space), "examples")
            n = jax.lax.psum(1, "examples") * (x.size // x.shape[0])
            new = {"a": mean, "b": var * (n / jnp.maximum(n - 1, 1))}
            kept = {one: (old[one] + self.momentum * (new[one] - old[one])).astype(old[one].dtype) for one in new}
            state = state.set(self.seen, kept)
        y = (h - by_channel(mean)) * jax.lax.rsqrt(by_channel(var) + self.eps)
        return (y * by_channel(self.weight) + by_channel(self.bias)).astype(x.dtype), state


instance = ForOneExample(12)
library_instance = eqx.nn.LayerNorm(12)
from_arrays = FromArrays(jnp.ones(12), jnp.zeros(12))
with_state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(6, axis_name="batch", mode="batch")
groups = eqx.nn.GroupNorm(2, 8)
