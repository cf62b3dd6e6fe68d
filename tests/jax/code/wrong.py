"""Normalizers in JAX, each wrong in one way, which its name tells."""

import jax
import jax.numpy as jnp
from flax import nnx


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _affine(xh, x, weight, bias):
    return (xh * weight + bias).astype(x.dtype)


def _statistics(x):
    h = _wide(x)
    return h, h.mean(-1, keepdims=True), h.var(-1, keepdims=True)


def eps_outside_root(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / (jnp.sqrt(var) + eps), x, weight, bias)


def variance_unbiased(x, weight, bias, eps=1e-5):
    h = _wide(x)
    n = x.shape[-1]
    var = h.var(-1, keepdims=True) * (n / max(n - 1, 1))
    return _affine((h - h.mean(-1, keepdims=True)) / jnp.sqrt(var + eps), x, weight, bias)


def mean_kept_in_numerator(x, weight, bias, eps=1e-5):
    h, _, var = _statistics(x)
    return _affine(h / jnp.sqrt(var + eps), x, weight, bias)


@jax.jit
def one_pass_variance(x, weight, bias, eps=1e-5):
    h = _wide(x)
    mean = h.mean(-1, keepdims=True)
    var = jnp.maximum(jnp.square(h).mean(-1, keepdims=True) - jnp.square(mean), 0.0)
    return _affine((h - mean) / jnp.sqrt(var + eps), x, weight, bias)


def affine_ignored(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return ((h - mean) / jnp.sqrt(var + eps)).astype(x.dtype)


def gain_one_plus_weight(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / jnp.sqrt(var + eps), x, 1 + weight, bias)


def mean_constant(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    mean = jax.lax.stop_gradient(mean)
    return _affine((h - mean) / jnp.sqrt(jnp.square(h - mean).mean(-1, keepdims=True) + eps), x, weight, bias)


def variance_constant(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / jnp.sqrt(jax.lax.stop_gradient(var) + eps), x, weight, bias)


def narrow_inside(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x.astype(jnp.bfloat16))
    return _affine((h - mean) / jnp.sqrt(var + eps), x, weight, bias)


def tail_dropped(x, weight, bias, eps=1e-5):
    h = _wide(x)
    n = x.shape[-1]
    body = h[..., : n // 4 * 4] if n >= 4 else h
    mean, var = body.mean(-1, keepdims=True), body.var(-1, keepdims=True)
    return _affine((h - mean) / jnp.sqrt(var + eps), x, weight, bias)


def output_clipped(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine(jnp.clip((h - mean) / jnp.sqrt(var + eps), -2.0, 2.0), x, weight, bias)


def output_float32(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return ((h - mean) / jnp.sqrt(var + eps) * weight + bias).astype(jnp.float32)


def eps_ignored(x, weight, bias, eps=1e-5):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / jnp.sqrt(jnp.maximum(var, 1e-30)), x, weight, bias)


@jax.custom_vjp
def forward_differs_with_gradient(x, weight, bias):
    h, mean, var = _statistics(x)
    return _affine((h - mean) / jnp.sqrt(var + 1e-5), x, weight + 0.01, bias)


def _forward(x, weight, bias):
    def right(x, weight, bias):
        h, mean, var = _statistics(x)
        return _affine((h - mean) / jnp.sqrt(var + 1e-5), x, weight, bias)

    return jax.vjp(right, x, weight, bias)


forward_differs_with_gradient.defvjp(_forward, lambda pull, dy: pull(dy))


class NoBias(nnx.LayerNorm):
    """Forgets its bias."""

    def __init__(self, num_features, *, epsilon=1e-5, rngs):
        super().__init__(num_features, epsilon=epsilon, use_fast_variance=False, rngs=rngs)

    def __call__(self, x):
        return super().__call__(x) - self.bias[...]
