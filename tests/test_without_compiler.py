"""`torch.func.vjp` and `jacrev` without loading torch's compiler, and with code that loads it itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from normcheck.frameworks.torch.without_compiler import without_compiler

QUICK = """
import sys
import normcheck
assert normcheck.check("torch.nn.functional:layer_norm", as_="layer_norm", effort="quick").ok
assert not {"torch._dynamo", "sympy"} & set(sys.modules)
"""

ALONE = """
import sys
import torch
from normcheck.frameworks.torch.without_compiler import without_compiler

class Square(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        loaded.append("torch._dynamo" in sys.modules)
        assert torch._dynamo.__name__ == "torch._dynamo"  # which loads it
        return 2.0 * x * g

loaded = []
x = torch.arange(3.0)
with without_compiler() as before_backward:
    y, vjp = torch.func.vjp(lambda value: before_backward(Square.apply(value)), x)
    (dx,) = vjp(torch.ones(3))
assert loaded == [False], loaded
assert torch.equal(dx, 2.0 * x)
assert torch._dynamo.config is not None
"""


@pytest.mark.parametrize("code", [QUICK, ALONE], ids=["quick", "alone"])
def test_the_compiler_is_loaded_by_the_code_under_test_alone(code: str) -> None:
    """It takes two seconds, more than all else of a quick run."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_what_is_not_used_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(vars(torch), "_dynamo", raising=False)
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    with without_compiler() as before_backward:
        before_backward(torch.ones(1))
        assert "_dynamo" in vars(torch)
    assert "_dynamo" not in vars(torch)
