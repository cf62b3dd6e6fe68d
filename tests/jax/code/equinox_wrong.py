"""Normalizers in Equinox for one example, each wrong in one way, which its name tells."""

import equinox as eqx
import jax
import jax.numpy as jnp


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Base(eqx.Module):
    weight: jax.Array
    bias: jax.Array
    eps: float = eqx.field(static=True)

    def __init__(self, size, eps=1e-5):
        self.weight, self.bias, self.eps = jnp.ones(size), jnp.zeros(size), eps

    def affine(self, xh, x):
        return (xh * self.weight + self.bias).astype(x.dtype)

    def statistics(self, x):
        h = _wide(x)
        return h, h.mean(), h.var()


class EpsOutsideRoot(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return self.affine((h - mean) / (jnp.sqrt(var) + self.eps), x)


class VarianceUnbiased(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        n = x.size
        return self.affine((h - mean) / jnp.sqrt(var * (n / max(n - 1, 1)) + self.eps), x)


class MeanKeptInNumerator(Base):
    def __call__(self, x):
        h, _, var = self.statistics(x)
        return self.affine(h / jnp.sqrt(var + self.eps), x)


class OnePassVariance(Base):
    def __call__(self, x):
        h, mean, _ = self.statistics(x)
        var = jnp.maximum(jnp.mean(h * h) - mean * mean, 0.0)
        return self.affine((h - mean) / jnp.sqrt(var + self.eps), x)


class AffineIgnored(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return ((h - mean) / jnp.sqrt(var + self.eps)).astype(x.dtype)


class GainOnePlusWeight(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return ((h - mean) / jnp.sqrt(var + self.eps) * (1 + self.weight) + self.bias).astype(x.dtype)


class MeanConstant(Base):
    def __call__(self, x):
        h = _wide(x)
        c = h - jax.lax.stop_gradient(h.mean())
        return self.affine(c / jnp.sqrt(jnp.mean(c * c) + self.eps), x)


class VarianceConstant(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return self.affine((h - mean) / jnp.sqrt(jax.lax.stop_gradient(var) + self.eps), x)


class NarrowInside(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x.astype(jnp.bfloat16))
        return self.affine((h - mean) / jnp.sqrt(var + self.eps), x)


class TailDropped(Base):
    def __call__(self, x):
        h = _wide(x)
        body = h[: x.size // 4 * 4] if x.size >= 4 else h
        return self.affine((h - body.mean()) / jnp.sqrt(body.var() + self.eps), x)


class OutputClipped(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return self.affine(jnp.clip((h - mean) / jnp.sqrt(var + self.eps), -2.0, 2.0), x)


class OutputFloat32(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return ((h - mean) / jnp.sqrt(var + self.eps) * self.weight + self.bias).astype(jnp.float32)


class EpsIgnored(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return self.affine((h - mean) / jnp.sqrt(jnp.maximum(var, 1e-30)), x)


class BiasIgnored(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return ((h - mean) / jnp.sqrt(var + self.eps) * self.weight).astype(x.dtype)


class VarianceWithinExamples(eqx.Module):
    """A batch norm whose variance is the mean of those of the examples, not that of the batch."""

    weight: jax.Array
    bias: jax.Array
    seen: eqx.nn.StateIndex
    inference: bool
    eps: float
    momentum: float

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        self.weight, self.bias = jnp.ones(channels), jnp.zeros(channels)
        self.seen = eqx.nn.StateIndex((jnp.zeros(channels), jnp.ones(channels)))
        self.inference, self.eps, self.momentum = False, eps, momentum

    def __call__(self, x, state):
        h = _wide(x)
        by_channel = lambda v: v.reshape(-1, *(1,) * (x.ndim - 1))
        space = tuple(range(1, x.ndim))
        mean, var = (one.astype(h.dtype) for one in state.get(self.seen))
        if not self.inference:
            seen = jax.lax.pmean(h.mean(space), "batch"), jax.lax.pmean(h.var(space), "batch")
            kept = (old + self.momentum * (new - old) for old, new in zip(state.get(self.seen), seen))
            state = state.set(self.seen, tuple(one.astype(x.dtype) for one in kept))
            mean, var = seen
        y = (h - by_channel(mean)) * jax.lax.rsqrt(by_channel(var) + self.eps)
        return (y * by_channel(self.weight) + by_channel(self.bias)).astype(x.dtype), state


class NeedsMore(Base):
    def __call__(self, x, context):
        return x
