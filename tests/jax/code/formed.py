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
