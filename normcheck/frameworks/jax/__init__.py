"""Targets of JAX: functions, jitted or not, and layers of flax.nnx."""
