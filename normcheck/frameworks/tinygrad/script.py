"""How the script of a finding is written in tinygrad (`ScriptLanguage`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normcheck.core.floats import FLOAT64, Array
from normcheck.frameworks.tinygrad.device import chosen

MOVES = {(-1, 1): "a ... c -> a c ...", (1, -1): "a c ... -> a ... c"}
"""How the channels are moved, by their place before and after."""


@dataclass(frozen=True, slots=True)
class TinygradScript:
    """Lines of plain tinygrad; gradients come from `Tensor.gradient` of the call and of the reference."""

    framework: str = "tinygrad"

    def opening(self, format: str) -> tuple[str, ...]:
        device = f'import os; os.environ.setdefault("DEV", "{chosen()}")  # the device of the finding'
        return (device, "from tinygrad import Tensor, dtypes")

    def array(self, values: Array, format: str, *, leaf: bool) -> str:
        return f"Tensor({values.tolist()}, dtype=dtypes.{format})"

    def reduced(self, kind: str, values: str, axes: tuple[int, ...]) -> str:
        return f"({values}).{kind}({axes}, keepdim=True)"

    def square(self, values: str) -> str:
        return f"({values}).square()"

    def root(self, values: str) -> str:
        return f"({values}).sqrt()"

    def moved(self, array: str, source: int, destination: int) -> str:
        pattern = MOVES[source, destination]
        return f"({array}).rearrange({pattern!r})"

    def compared(
        self, call: Sequence[str], names: Sequence[str], reference: tuple[str, str], leaf: str
    ) -> tuple[tuple[str, ...], str]:
        wide = lambda name: f"{name}.cast(dtypes.{FLOAT64.name})"
        copies = "; ".join(f"{name.upper()} = {wide(name)}" for name in names)
        returned = call[-1].removeprefix("y = ")
        several = "running_mean" in returned and "layer(" not in returned
        first = f"y = {returned}[0]" if several else call[-1]
        lines = (*call[:-1], first, copies, f"c = {reference[0]}", f"exact = {reference[1]}")
        if not leaf:
            return lines, f"({wide('y')} - exact).abs().max().item()"
        got = f"got, = y.gradient({leaf}, gradient=dy.cast(y.dtype))"
        want = f"want, = exact.gradient({leaf.upper()}, gradient={wide('dy')})"
        return (*lines, got, want), f"({wide('got')} - want).abs().max().item()"
