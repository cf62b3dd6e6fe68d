"""A target's framework is found from what it is and what its code names; no other framework is imported."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from normcheck.core.errors import UsageError
from normcheck.frameworks import registry


def of_torch(x: Any, eps: float = 1e-5) -> Any:
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)


def of_numpy(x: Any, eps: float = 1e-5) -> Any:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)


def helped(x: Any, eps: float = 1e-5) -> Any:
    return of_torch(x, eps)


def imports_inside(x: Any, eps: float = 1e-5) -> Any:
    import torch

    return torch.nn.functional.normalize(x, eps=eps)


def operators(x: Any, eps: float = 1e-5) -> Any:
    return x / ((x * x).mean(-1) + eps) ** 0.5


class Callable:
    def __call__(self, x: Any, eps: float = 1e-5) -> Any:
        return of_torch(x, eps)


class PlainLayer:
    def __init__(self, n: int) -> None:
        self.weight = torch.ones(n)

    def __call__(self, x: Any) -> Any:
        return x * self.weight


class NumpyInside(torch.nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = np.prod(n)

    def forward(self, x: Any) -> Any:
        return x


class Pair:
    def forward(self, x: Any) -> Any:
        return x

    def backward(self, dy: Any) -> Any:
        return dy


@pytest.mark.parametrize(("target", "first"), [
    (torch.nn.functional.layer_norm, "torch"), (torch._weight_norm, "torch"), (torch.nn.LayerNorm, "torch"),
    (torch.nn.LayerNorm(4), "torch"), (of_torch, "torch"), (helped, "torch"), (imports_inside, "torch"),
    (functools.partial(of_torch, eps=1e-3), "torch"), (Callable(), "torch"), (Callable().__call__, "torch"),
    (torch.jit.ignore(of_torch), "torch"), (operators, "torch"), (lambda x: 2 * of_torch(x), "torch"), (len, "torch"),
    (of_numpy, "numpy"), (functools.partial(of_numpy, eps=1e-3), "numpy"), ((of_numpy, of_numpy), "numpy"),
    (Pair, "numpy"), (Pair(), "numpy"), (PlainLayer, "torch"),
])  # fmt: skip
def test_the_likeliest_framework_is_tried_first(target: Any, first: str) -> None:
    assert registry.candidates(target)[0] == first


def test_a_layer_is_of_its_framework_alone() -> None:
    assert registry.candidates(torch.nn.LayerNorm) == ("torch",)
    assert registry.candidates((of_numpy, of_numpy)) == ("numpy",)
    assert registry.candidates(PlainLayer) == ("torch",)
    assert registry.candidates(NumpyInside) == ("torch",)


def test_code_of_methods_alone_is_of_what_its_module_imports() -> None:
    for imported, expected in (("import torch", ("torch", "numpy")), ("import numpy as np", ("numpy", "torch"))):
        place: dict[str, Any] = {}
        exec(f"{imported}\ndef norm(x, eps=1e-5): return x / (x.var(-1) + eps).sqrt()", place)
        assert registry.candidates(place["norm"]) == expected


class PairOfTorch(NamedTuple):
    """As a framework returns two functions at once."""

    init: Any
    apply: Any


PairOfTorch.__module__ = "torch.somewhere"


def test_a_tuple_belongs_where_its_parts_do() -> None:
    assert registry.candidates((torch.nn.LayerNorm(4), {"state": 1}))[0] == "torch"


def test_two_functions_that_a_framework_returns_are_no_pair_of_numpy() -> None:
    two = PairOfTorch(lambda x: x, lambda x: x)
    assert registry.pair(two) is None
    assert registry.pair(tuple(two)) is not None
    assert registry.candidates(two) == ("torch",)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown framework 'pytorch'; did you mean 'torch'\?"):
        registry.get("pytorch")


CODE = """
import sys
from normcheck import families
from normcheck.core.claim import Implementation
families.bind(Implementation("layer_norm", "tests/user_code/correct/layer_norm_numpy.py:numpy_layer_norm"))
sys.exit("torch" in sys.modules)
"""


def test_torch_is_not_imported_for_a_pair_of_numpy_functions() -> None:
    root = Path(__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", CODE], cwd=root, check=False).returncode == 0
