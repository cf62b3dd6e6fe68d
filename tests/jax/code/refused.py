"""What is no normalizer that can be called, or offers less than all."""

import jax.numpy as jnp


def other_shape(x, weight, bias, eps=1e-5):
    return jnp.sum(x, -1)


def raises(x, weight, bias, eps=1e-5):
    jnp.shape(x)
    raise ValueError("no input is good enough")


def raises_no(x, weight, bias, eps=1e-5):
    jnp.shape(x)
    raise ValueError("no")


def shapeless(x, weight, bias, eps=1e-5):
    jnp.shape(x)
    return x[:1]


def number(x, weight, bias, eps=1e-5):
    jnp.shape(x)
    return 1.0


def no_state(x, running_mean, running_var, weight=None, bias=None, training=True, momentum=0.1, eps=1e-5):
    h = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    axes = (0, *range(2, x.ndim))
    by_channel = lambda v: v.reshape(1, -1, *(1,) * (x.ndim - 2))
    mean, var = (h.mean(axes), h.var(axes)) if training else (running_mean, running_var)
    y = (h - by_channel(mean)) / jnp.sqrt(by_channel(var) + eps)
    y = y if weight is None else y * by_channel(weight)
    return (y if bias is None else y + by_channel(bias)).astype(x.dtype)
