"""How the script of a finding is written in TensorFlow (`ScriptLanguage`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normcheck.core.floats import FLOAT64, Array


def _wide(name: str) -> str:
    return f"tf.cast({name}, tf.{FLOAT64.name})"


@dataclass(frozen=True, slots=True)
class TensorflowScript:
    """Lines of plain TensorFlow; gradients come from a tape of the call and of the reference.

    Arrays are variables: code may assign to running statistics that it is given.
    """

    framework: str = "tensorflow"

    def opening(self, format: str) -> tuple[str, ...]:
        return ("import tensorflow as tf",)

    def array(self, values: Array, format: str, *, leaf: bool) -> str:
        return f"tf.Variable({values.tolist()}, dtype=tf.{format})"

    def reduced(self, kind: str, values: str, axes: tuple[int, ...]) -> str:
        return f"tf.reduce_{kind}({values}, {axes}, keepdims=True)"

    def square(self, values: str) -> str:
        return f"tf.square({values})"

    def root(self, values: str) -> str:
        return f"tf.sqrt({values})"

    def moved(self, array: str, source: int, destination: int) -> str:
        return f"tf.experimental.numpy.moveaxis({array}, {source}, {destination})"

    def compared(
        self, call: Sequence[str], names: Sequence[str], reference: tuple[str, str], leaf: str
    ) -> tuple[tuple[str, ...], str]:
        copies = "; ".join(f"{name.upper()} = {_wide(name)}" for name in names)
        returned = call[-1].removeprefix("y = ")
        first = f"y = tf.nest.flatten({returned})[0]" if "running_mean" in returned else call[-1]
        if not leaf:
            lines = (*call[:-1], first, copies, f"c = {reference[0]}", f"exact = {reference[1]}")
            return lines, f"abs(({_wide('y')} - exact).numpy()).max()"
        return (
            *call[:-1],
            "with tf.GradientTape() as tape:",
            f"    tape.watch({leaf})",
            f"    {first}",
            f"got = tape.gradient(y, {leaf}, dy, unconnected_gradients='zero')",
            copies,
            "with tf.GradientTape() as tape:",
            f"    tape.watch({leaf.upper()})",
            f"    c = {reference[0]}",
            f"    exact = {reference[1]}",
            f"want = tape.gradient(exact, {leaf.upper()}, {_wide('dy')})",
        ), f"abs(({_wide('got')} - want).numpy()).max()"
