"""Code of forms: a residual, a gate, a mask, channels last."""

import jax
import jax.numpy as jnp


def rms(x, weight, eps):
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (weight * wide * jax.lax.rsqrt(jnp.mean(wide * wide, -1, keepdims=True) + eps)).astype(x.dtype)


def add_rms_norm(x, residual, weight, eps=1e-6):
    total = x + residual
    return rms(total, weight, eps), total


def old_residual(x, residual, weight, eps=1e-6):
    return rms(x + residual, weight, eps), residual


def gated(x, gate, weight, eps=1e-6):
    return rms(x, weight, eps) * jax.nn.silu(gate)


def gate_is_stopped(x, gate, weight, eps=1e-6):
    return rms(x, weight, eps) * jax.nn.silu(jax.lax.stop_gradient(gate))


def bias_add_rms_norm(x, residual, branch_bias, weight, eps=1e-6):
    total = x + branch_bias + residual
    return rms(total, weight, eps), total


def bias_is_stopped(x, residual, branch_bias, weight, eps=1e-6):
    total = x + jax.lax.stop_gradient(branch_bias) + residual
    return rms(total, weight, eps), total


def packed_instance_norm(x, cu_seqlens, weight=None, bias=None, eps=1e-5):
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    count = len(cu_seqlens) - 1
    which = jnp.searchsorted(cu_seqlens[1:], jnp.arange(len(x)), side="right")
    lengths = jnp.maximum(jnp.diff(cu_seqlens), 1)[:, None].astype(wide.dtype)
    centered = wide - (jax.ops.segment_sum(wide, which, count) / lengths)[which]
    var = (jax.ops.segment_sum(centered**2, which, count) / lengths)[which]
    y = centered * jax.lax.rsqrt(var + eps)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias).astype(x.dtype)


def boundaries_not_read(x, cu_seqlens, weight=None, bias=None, eps=1e-5):
    return packed_instance_norm(x, jnp.asarray([0, len(x)]), weight, bias, eps)


def turned(x, cos, sin):
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def qk_norm_rope(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    return turned(rms(q, q_weight, eps), cos, sin), turned(rms(k, k_weight, eps), cos, sin)


def keys_not_turned(q, k, q_weight, k_weight, cos, sin, eps=1e-6):
    return turned(rms(q, q_weight, eps), cos, sin), rms(k, k_weight, eps)
