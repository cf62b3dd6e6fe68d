import jax
import jax.numpy as jnp


def layer_norm(x, weight, bias, eps=1e-5):
    h = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    y = jax.nn.standardize(h, epsilon=eps, algorithm="stable")
    return (y * weight + bias).astype(x.dtype)
