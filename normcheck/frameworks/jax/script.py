"""How the script of a finding is written in JAX (`ScriptLanguage`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normcheck.core.floats import FLOAT64, Array

WIDE = 'jax.config.update("jax_enable_x64", True)'
"""The line from which on float64 exists."""


@dataclass(frozen=True, slots=True)
class JaxScript:
    """Lines of plain JAX; gradients come from `jax.vjp` of the call and of the reference."""

    framework: str = "jax"

    def opening(self, format: str) -> tuple[str, ...]:
        lines = ("import jax, jax.numpy as jnp",)
        return (*lines, WIDE) if format == FLOAT64.name else lines

    def array(self, values: Array, format: str, *, leaf: bool) -> str:
        return f"jnp.array({values.tolist()}, dtype={format!r})"

    def reduced(self, kind: str, values: str, axes: tuple[int, ...]) -> str:
        return f"{values}.{kind}({axes}, keepdims=True)"

    def square(self, values: str) -> str:
        return f"jnp.square({values})"

    def root(self, values: str) -> str:
        return f"jnp.sqrt({values})"

    def moved(self, array: str, source: int, destination: int) -> str:
        return f"jnp.moveaxis({array}, {source}, {destination})"

    def compared(
        self, call: Sequence[str], names: Sequence[str], reference: tuple[str, str], leaf: str
    ) -> tuple[tuple[str, ...], str]:
        wide = lambda name: f"{name}.astype({FLOAT64.name!r})"
        copies = "; ".join(f"{name.upper()} = {wide(name)}" for name in names)
        returned = call[-1].removeprefix("y = ")
        if not leaf:
            first = f"y = jax.tree.leaves({returned})[0]" if "running_mean" in returned else call[-1]
            lines = (*call[:-1], first, WIDE, copies, f"c = {reference[0]}", f"exact = {reference[1]}")
            return lines, f"abs({wide('y')} - exact).max()"
        return (
            *call[:-1],
            f"got, = jax.vjp(lambda {leaf}: jax.tree.leaves({returned})[0], {leaf})[1](dy)",
            WIDE,
            copies,
            f"def exact({leaf.upper()}):",
            f"    c = {reference[0]}",
            f"    return {reference[1]}",
            f"want, = jax.vjp(exact, {leaf.upper()})[1]({wide('dy')})",
        ), f"abs({wide('got')} - want).max()"
