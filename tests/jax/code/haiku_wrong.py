"""Normalizers in Haiku, each wrong in one way, which its name tells."""

import haiku as hk
import jax
import jax.numpy as jnp


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Base(hk.Module):
    def __init__(self, eps=1e-5, name=None):
        super().__init__(name=name)
        self.eps = eps

    def affine(self, xh, x):
        scale = hk.get_parameter("scale", x.shape[-1:], x.dtype, init=jnp.ones)
        return (xh * scale + hk.get_parameter("offset", x.shape[-1:], x.dtype, init=jnp.zeros)).astype(x.dtype)

    def statistics(self, x):
        h = _wide(x)
        return h, h.mean(-1, keepdims=True), h.var(-1, keepdims=True)


class EpsOutsideRoot(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return self.affine((h - mean) / (jnp.sqrt(var) + self.eps), x)


class VarianceUnbiased(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        n = x.shape[-1]
        return self.affine((h - mean) / jnp.sqrt(var * (n / max(n - 1, 1)) + self.eps), x)


class MeanKeptInNumerator(Base):
    def __call__(self, x):
        h, _, var = self.statistics(x)
        return self.affine(h / jnp.sqrt(var + self.eps), x)


class OnePassVariance(Base):
    def __call__(self, x):
        h, mean, _ = self.statistics(x)
        var = jnp.maximum(jnp.square(h).mean(-1, keepdims=True) - jnp.square(mean), 0.0)
        return self.affine((h - mean) / jnp.sqrt(var + self.eps), x)


class AffineIgnored(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        self.affine(h, x)
        return ((h - mean) / jnp.sqrt(var + self.eps)).astype(x.dtype)


class MeanConstant(Base):
    def __call__(self, x):
        h = _wide(x)
        c = h - jax.lax.stop_gradient(h.mean(-1, keepdims=True))
        return self.affine(c / jnp.sqrt(jnp.square(c).mean(-1, keepdims=True) + self.eps), x)


class VarianceConstant(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return self.affine((h - mean) / jnp.sqrt(jax.lax.stop_gradient(var) + self.eps), x)


class OutputClipped(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return self.affine(jnp.clip((h - mean) / jnp.sqrt(var + self.eps), -2.0, 2.0), x)


class OutputFloat32(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return self.affine((h - mean) / jnp.sqrt(var + self.eps), x).astype(jnp.float32)


class EpsIgnored(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        return self.affine((h - mean) / jnp.sqrt(jnp.maximum(var, 1e-30)), x)


class BiasIgnored(Base):
    def __call__(self, x):
        h, mean, var = self.statistics(x)
        y = self.affine((h - mean) / jnp.sqrt(var + self.eps), x)
        return y - hk.get_parameter("offset", x.shape[-1:], x.dtype, init=jnp.zeros)


class NeedsMore(Base):
    def __call__(self, x, context):
        return x
