"""Divided normalizers of JAX: one function of a shard, mapped over devices of the CPU in this process."""

from __future__ import annotations

from normcheck.families.synchronized.jax.binding import subject as subject
