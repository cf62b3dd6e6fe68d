"""How the script of a finding is written in MLX (`ScriptLanguage`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normcheck.core.floats import FLOAT64, Array


@dataclass(frozen=True, slots=True)
class MlxScript:
    """Lines of plain MLX; gradients come from `mx.vjp` of the call and of the reference."""

    framework: str = "mlx"

    def opening(self, format: str) -> tuple[str, ...]:
        return ("import mlx.core as mx", "mx.set_default_device(mx.cpu)")

    def array(self, values: Array, format: str, *, leaf: bool) -> str:
        return f"mx.array({values.tolist()}, dtype=mx.{format})"

    def reduced(self, kind: str, values: str, axes: tuple[int, ...]) -> str:
        return f"({values}).{kind}({axes}, keepdims=True)"

    def square(self, values: str) -> str:
        return f"mx.square({values})"

    def root(self, values: str) -> str:
        return f"mx.sqrt({values})"

    def moved(self, array: str, source: int, destination: int) -> str:
        return f"mx.moveaxis({array}, {source}, {destination})"

    def compared(
        self, call: Sequence[str], names: Sequence[str], reference: tuple[str, str], leaf: str
    ) -> tuple[tuple[str, ...], str]:
        wide = lambda name: f"{name}.astype(mx.{FLOAT64.name})"
        copies = "; ".join(f"{name.upper()} = {wide(name)}" for name in names)
        returned = call[-1].removeprefix("y = ")
        if not leaf:
            first = f"y = {returned}[0]" if "running_mean" in returned and "layer(" not in returned else call[-1]
            lines = (*call[:-1], first, copies, f"c = {reference[0]}", f"exact = {reference[1]}")
            return lines, f"mx.abs({wide('y')} - exact).max().item()"
        return (
            *call[:-1],
            f"got, = mx.vjp(lambda {leaf}: [{returned}], [{leaf}], [dy])[1]",
            copies,
            f"def exact({leaf.upper()}):",
            f"    c = {reference[0]}",
            f"    return [{reference[1]}]",
            f"want, = mx.vjp(exact, [{leaf.upper()}], [{wide('dy')}])[1]",
        ), f"mx.abs({wide('got')} - want).max().item()"
