"""How the script of a finding is written in torch (`ScriptLanguage`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normcheck.core.floats import Array


@dataclass(frozen=True, slots=True)
class TorchScript:
    """Lines of plain torch; gradients come from leaves that require them."""

    framework: str = "torch"

    def opening(self, format: str) -> tuple[str, ...]:
        return ("import torch",)

    def array(self, values: Array, format: str, *, leaf: bool) -> str:
        return f"torch.tensor({values.tolist()}, dtype=torch.{format}{', requires_grad=True' if leaf else ''})"

    def reduced(self, kind: str, values: str, axes: tuple[int, ...]) -> str:
        return f"{values}.{kind}({axes}, keepdim=True)"

    def square(self, values: str) -> str:
        return f"{values}.square()"

    def root(self, values: str) -> str:
        return f"{values}.sqrt()"

    def moved(self, array: str, source: int, destination: int) -> str:
        return f"{array}.movedim({source}, {destination})"

    def compared(
        self, call: Sequence[str], names: Sequence[str], reference: tuple[str, str], leaf: str
    ) -> tuple[tuple[str, ...], str]:
        track = ".requires_grad_()" if leaf else ""
        copies = "; ".join(f"{name.upper()} = {name}.detach().double(){track}" for name in names)
        lines = (*call, copies, f"c = {reference[0]}", f"exact = {reference[1]}")
        if not leaf:
            return lines, "(y.double() - exact).abs().max()"
        got = f"got, = torch.autograd.grad(y, {leaf}, dy, materialize_grads=True)"
        want = f"want, = torch.autograd.grad(exact, {leaf.upper()}, dy.double())"
        return (*lines, got, want), "(got.double() - want).abs().max()"
