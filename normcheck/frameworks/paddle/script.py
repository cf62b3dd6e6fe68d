"""How the script of a finding is written in PaddlePaddle (`ScriptLanguage`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normcheck.core.floats import FLOAT64, Array


@dataclass(frozen=True, slots=True)
class PaddleScript:
    """Lines of plain PaddlePaddle; gradients come from `paddle.grad` of the call and of the reference."""

    framework: str = "paddle"

    def opening(self, format: str) -> tuple[str, ...]:
        return ("import paddle", 'paddle.set_device("cpu")')

    def array(self, values: Array, format: str, *, leaf: bool) -> str:
        return f"paddle.to_tensor({values.tolist()}, dtype={format!r}{', stop_gradient=False' if leaf else ''})"

    def reduced(self, kind: str, values: str, axes: tuple[int, ...]) -> str:
        return f"({values}).{kind}({list(axes)}, keepdim=True)"

    def square(self, values: str) -> str:
        return f"paddle.square({values})"

    def root(self, values: str) -> str:
        return f"paddle.sqrt({values})"

    def moved(self, array: str, source: int, destination: int) -> str:
        return f"paddle.moveaxis({array}, {source}, {destination})"

    def compared(
        self, call: Sequence[str], names: Sequence[str], reference: tuple[str, str], leaf: str
    ) -> tuple[tuple[str, ...], str]:
        wide = lambda name: f"{name}.detach().astype({FLOAT64.name!r})"
        copies = "; ".join(f"{name.upper()} = {wide(name)}" for name in names)
        tracked = (f"{leaf.upper()}.stop_gradient = False",) if leaf else ()
        taken = ("y = y[0] if isinstance(y, tuple) else y",)
        lines = (*call, *taken, copies, *tracked, f"c = {reference[0]}", f"exact = {reference[1]}")
        if not leaf:
            return lines, f"float(({wide('y')} - exact).abs().max())"
        found = f"paddle.grad([y], [{leaf}], [dy.astype(y.dtype)], allow_unused=True)[0]"
        got = f"got = {found}; got = paddle.zeros_like({leaf}) if got is None else got"
        want = f"want, = paddle.grad([exact], [{leaf.upper()}], [{wide('dy')}])"
        return (*lines, got, want), f"float(({wide('got')} - want).abs().max())"
