"""Transforms, forward mode and checkpoints without loading torch's compiler, and with code that loads it itself."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch
from torch.utils import checkpoint

from normcheck.frameworks.torch.without_compiler import COMPILER, SIZES, UNCOMPILED, without_compiler

RUN = """
import sys
import normcheck
assert normcheck.check("torch.nn.functional:layer_norm", as_="layer_norm", effort="{effort}").ok
assert not {absent} & set(sys.modules)
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
        loaded.append("torch._inductor" in sys.modules)
        assert torch._dynamo.__name__ == "torch._dynamo"
        assert torch._dynamo.is_compiling() is False  # which loads it
        loaded.append("torch._inductor" in sys.modules)
        torch._dynamo.config.verbose = False
        from torch.fx.experimental.symbolic_shapes import ShapeEnv
        return 2.0 * x * g

loaded = []
x = torch.arange(3.0)
with without_compiler():
    y, vjp = torch.func.vjp(Square.apply, x)
    (dx,) = vjp(torch.ones(3))
assert loaded == [False, True], loaded
assert torch.equal(dx, 2.0 * x)
assert torch._dynamo.config.error_on_nested_fx_trace is not None
assert torch.compile(lambda x: x + 1.0, backend="eager")(x).tolist() == [1.0, 2.0, 3.0]
"""

PARTS = """
import sys
import torch
from normcheck.frameworks.torch.without_compiler import without_compiler

with without_compiler():
    assert not [name for name, module in list(sys.modules.items()) if hasattr(module, "__file__") and not module]
    assert "sympy" not in sys.modules
    torch._dynamo.config.suppress_errors = True
    import torch._dynamo.config
    assert torch._dynamo.config.suppress_errors is True
    assert torch._dynamo.config.verbose is False
assert "sympy" in sys.modules
"""


@pytest.mark.parametrize(
    "code",
    [
        RUN.format(effort="quick", absent={"torch._dynamo", "sympy"}),
        RUN.format(effort="default", absent={"torch._dynamo"}),
        ALONE,
        PARTS,
    ],
    ids=["quick", "default", "alone", "a part"],
)
def test_the_compiler_is_loaded_by_the_code_under_test_alone(code: str) -> None:
    """It takes a second, a quarter of a whole run."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_what_stands_in_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what torch has kept of its answers: a compiler that is loaded later leaves the functions uncompiled."""
    monkeypatch.delitem(vars(torch), "_dynamo", raising=False)
    for name in (COMPILER, SIZES):
        monkeypatch.delitem(sys.modules, name, raising=False)
    plain = inspect.unwrap(checkpoint.checkpoint)
    monkeypatch.delattr(plain, UNCOMPILED, raising=False)
    x = torch.arange(3.0, requires_grad=True)
    with without_compiler():
        checkpoint.checkpoint(torch.square, x, use_reentrant=False).sum().backward()
        assert hasattr(plain, UNCOMPILED)
        assert "_dynamo" in vars(torch)
    assert not hasattr(plain, UNCOMPILED)
    assert "_dynamo" not in vars(torch)
    assert not {COMPILER, SIZES} & set(sys.modules)
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 2.0, 4.0]


def test_a_compiler_that_is_loaded_stays() -> None:
    loaded = pytest.importorskip("torch._dynamo")
    with without_compiler():
        assert sys.modules[COMPILER] is loaded
    assert sys.modules[COMPILER] is loaded
