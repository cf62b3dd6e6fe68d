"""Transforms, forward mode and checkpoints without loading torch's compiler, and with code that loads it itself."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch
from torch.utils import checkpoint

from normcheck.frameworks.torch.without_compiler import (
    ALGEBRA,
    COMPILER,
    OF_PLAIN_SIZES,
    SIZES,
    UNCOMPILED,
    without_compiler,
)

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
    assert "sympy.core" not in sys.modules
    torch._dynamo.config.suppress_errors = True
    import torch._dynamo.config
    assert torch._dynamo.config.suppress_errors is True
    assert torch._dynamo.config.verbose is False
assert "sympy.core" in sys.modules
"""

SYMBOLS = """
import sys
import torch
from normcheck.frameworks.torch.without_compiler import without_compiler

with without_compiler():
    import sympy
    Symbol = type("Symbol", (sympy.Basic,), {})  # which loads it
    assert "sympy.core" in sys.modules
    assert torch._prims_common.elementwise_dtypes(
        torch.ones(2), type_promotion_kind=torch._prims_common.ELEMENTWISE_TYPE_PROMOTION_KIND.DEFAULT
    )[1] is torch.float32
assert Symbol.__bases__ == (sys.modules["sympy"].Basic,)
assert sympy.Integer(2) + 1 == 3
"""

SIZES_AND_SYMBOLS = """
import sys
import torch
from normcheck.frameworks.torch.without_compiler import without_compiler

with without_compiler():
    from torch.fx.experimental.symbolic_shapes import guard_or_false, sym_eq
    assert sym_eq((2, 3), [2, 3]) is True
    assert sym_eq((2, 3), (3, 2)) is False
    assert "sympy" not in vars(sys.modules["torch.fx.experimental.symbolic_shapes"])
    assert guard_or_false(torch.tensor(True).item()) is True
    assert "sympy.core" not in sys.modules
    assert not guard_or_false(torch.sym_not(True))
    try:
        guard_or_false(torch.ones(1))
    except AssertionError as error:
        assert "Expected bool" in str(error), error  # no plain number: the module itself has answered
    else:
        raise RuntimeError("torch takes a tensor for a condition")
    assert "sympy.core" in sys.modules
"""


@pytest.mark.parametrize(
    "code",
    [
        RUN.format(effort="quick", absent={"torch._dynamo", "sympy"}),
        RUN.format(effort="default", absent={"torch._dynamo", "sympy"}),
        ALONE,
        PARTS,
        SYMBOLS,
        SIZES_AND_SYMBOLS,
    ],
    ids=["quick", "default", "alone", "a part", "symbols", "sizes"],
)
def test_the_compiler_is_loaded_by_the_code_under_test_alone(code: str) -> None:
    """It takes a second, a quarter of a whole run."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_what_stands_in_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what torch has kept of its answers: a compiler that is loaded later leaves the functions uncompiled."""
    monkeypatch.delitem(vars(torch), "_dynamo", raising=False)
    for name in (COMPILER, SIZES, ALGEBRA):
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
    assert not {COMPILER, SIZES, ALGEBRA} & set(sys.modules)
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 2.0, 4.0]


def test_a_compiler_that_is_loaded_stays() -> None:
    loaded = pytest.importorskip("torch._dynamo")
    with without_compiler():
        assert sys.modules[COMPILER] is loaded
    assert sys.modules[COMPILER] is loaded


PLAIN_ARGUMENTS = {
    "sym_eq": [((2, 3), (2, 3)), ((2, 3), (3, 2)), ([2], (2,)), ((), ()), (1, 1), (1, 2)],
    "sym_and": [(True, True), (True, False), (False, False)],
    "sym_or": [(True, True), (True, False), (False, False)],
    "has_guarding_hint": [(0,), (1,), (7,)],
    "guarding_hint_or_throw": [(0,), (1,), (7,)],
    "is_nested_int": [(0,), (1,), (7,)],
}
"""Arguments of the functions that take other than one condition."""


@pytest.mark.filterwarnings("ignore:guard_size_oblivious will be removed:FutureWarning")
@pytest.mark.parametrize("name", OF_PLAIN_SIZES)
def test_answers_are_those_of_torch(name: str) -> None:
    """For plain numbers, of the version that is installed; a version may lack one, and then nothing asks for it."""
    sizes = pytest.importorskip(SIZES)
    if not hasattr(sizes, name):
        pytest.skip(f"this version of torch has no {name}")
    for args in PLAIN_ARGUMENTS.get(name, [(True,), (False,)]):
        assert OF_PLAIN_SIZES[name](*args) == getattr(sizes, name)(*args)
