"""Targets with literal arguments, and constructors and functions that pass `*args` and `**kwargs` on."""

from __future__ import annotations

import copy
import functools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from normcheck.api import check
from normcheck.cli import _is_claim
from normcheck.core.claim import Implementation, parse, split_kind
from normcheck.core.errors import NormcheckError, UsageError
from normcheck.core.target import split, target_of
from normcheck.engine.claims import claim
from normcheck.families import bind as subject
from normcheck.frameworks import known_bugs
from normcheck.frameworks.load import load
from normcheck.frameworks.roles import from_signature
from normcheck.identify.identify import identify
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.recipes import Draw, Sizes, values
from normcheck.normalizers.subject import Subject
from normcheck.report.services.problems import locate

HERE = Path(__file__).name


def sentence(text: str, kind: str = "layer_norm") -> str:
    """The one line with which a target is refused."""
    with pytest.raises(NormcheckError) as raised:
        bound(kind, text)
    said = str(raised.value)

    assert "\n" not in said
    return said


def bound(kind: str, target: Any) -> Subject:
    return subject(Implementation(kind, target))


def agrees(found: Subject) -> bool:
    """Whether output and gradients are those of the reference on an ordinary float64 case."""
    domain = found.domain
    draw = Draw(rank=domain.ranks[0], affine=domain.affine[0], normalized=domain.normalized[-1])
    case = values(found.normalizer, fit(found.normalizer, draw, domain.sizes))
    case = case if domain.eps is None else case.but(eps=domain.eps)
    answer, truth = found.call(case, True), evaluate(found.normalizer, case, found.contract)
    pairs = [(answer.y, truth.y), (answer.dx, truth.dx), (answer.dweight, truth.dweight), (answer.dbias, truth.dbias)]
    return all((a is None and b is None) or bool(np.allclose(a, b, rtol=1e-9, atol=1e-9)) for a, b in pairs)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file with norms that take options."""
    place = tmp_path / "mine.py"
    place.write_text("""
import torch
import torch.nn.functional as F

class Norm(torch.nn.Module):
    def __init__(self, dim, mode="none", groups=2, eps=1e-5):
        super().__init__()
        assert mode == "a:b=c", "an option that this test needs"
        self.groups, self.eps = groups, eps
        self.weight, self.bias = torch.nn.Parameter(torch.ones(dim)), torch.nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return F.group_norm(x, self.groups, self.weight, self.bias, self.eps)

def scaled(x, gain, normalized_shape, weight=None, bias=None, eps=1e-5):
    return gain * F.layer_norm(x, normalized_shape, weight, bias, eps)
""")
    return str(place)


# The text


@pytest.mark.parametrize(("text", "parts"), [
    ("pkg.mod:Name", ("pkg.mod", "Name", "")),
    ("pkg.mod:Name(groups=4)", ("pkg.mod", "Name", "(groups=4)")),
    ('pkg.mod:A.B(order="a:b", eps=1e-3)', ("pkg.mod", "A.B", '(order="a:b", eps=1e-3)')),
    ("C:/code/mine.py:Norm(4)", ("C:/code/mine.py", "Norm", "(4)")),
    ("/a (old)/mine.py:f", ("/a (old)/mine.py", "f", "")),
    ("pkg.mod:Größe(1)", ("pkg.mod", "Größe", "(1)")),
    ("pkg.mod", ("", "pkg.mod", "")),
])  # fmt: skip
def test_parts_of_a_target(text: str, parts: tuple[str, str, str]) -> None:
    """The name follows the first colon that has a name behind it; literals may contain colons."""
    assert split(text) == parts


def test_literals() -> None:
    """Positional and named arguments of every literal type, negative numbers too."""
    found = target_of('m:f(1, -2.5, "x", None, True, (1, 2), [3], {"a": 1}, data_format="channels_first", eps=1e-6)')

    assert found.args == (1, -2.5, "x", None, True, (1, 2), [3], {"a": 1})
    assert found.kwargs == {"data_format": "channels_first", "eps": 1e-6}


@pytest.mark.parametrize(("text", "expected"), [
    ("torch.nn:LayerNorm(size)", "the value of argument 1 is no literal"),
    ("torch.nn:LayerNorm(eps=float('inf'))", "the value of eps is no literal"),
    ("torch.nn:LayerNorm(**{'eps': 1})", "the value of ** is no literal"),
    ("torch.nn:LayerNorm(*[1])", "the value of argument 1 is no literal"),
    ("torch.nn:LayerNorm(eps=", "'(eps=' cannot be read as arguments"),
    ("torch.nn:LayerNorm(eps=1)(2)", "'(eps=1)(2)' cannot be read as arguments"),
    ("torch.nn:LayerNorm(eps=1, eps=2)", "cannot be read as arguments"),
    ("torch.nn:LayerNorm(epz=1)", "torch.nn:LayerNorm takes no argument 'epz'; did you mean 'eps'?"),
    ("torch.nn:LayerNorm(8, normalized_shape=8)", "gets its argument 'normalized_shape' by position and by name"),
    ("torch.nn:LayerNorm(1, 2, 3, 4, 5, 6, 7)", "torch.nn:LayerNorm takes 6 arguments, not 7"),
    ("torch.nn.functional:layer_norm(epz=1)", "takes no argument 'epz'"),
    ("torch:layer_norm(epz=1)", "takes no argument 'epz'"),
    ("torch:layer_norm(eps=1.0)", "takes its argument 'eps' by position only"),
    ("torch:nn(1)", "torch:nn is neither a class nor a function"),
    ("torch.nn:LayerNormm(1)", "'torch.nn' has no attribute 'LayerNormm'"),
])  # fmt: skip
def test_what_cannot_be_fixed(text: str, expected: str) -> None:
    """No literal, no call, an unknown name, an argument twice: one sentence each."""
    assert expected in sentence(text)


@pytest.mark.parametrize(("text", "kind", "target"), [
    ("group_norm=m:Name(groups=4)", "group_norm", "m:Name(groups=4)"),
    ('layer_norm=m:Name(a="x=y:z")', "layer_norm", 'm:Name(a="x=y:z")'),
    ("m:Name(groups=4)", "", "m:Name(groups=4)"),
    ("layer_norm=a=b.py:f", "layer_norm", "a=b.py:f"),
])  # fmt: skip
def test_kind_and_target(text: str, kind: str, target: str) -> None:
    """An equals sign inside the arguments does not end a kind."""
    assert split_kind(text) == (kind, target)
    assert not kind or parse(text) == Implementation(kind, target)
    assert _is_claim(text) is True


# Classes and functions with fixed arguments


def test_a_fixed_class_is_its_class() -> None:
    """It is a class whose instances are those of the original, so they can be copied and pickled."""
    made = load("torch.nn:GroupNorm(num_groups=2, eps=1e-3)")
    layer = made(num_channels=4)

    assert issubclass(made, torch.nn.GroupNorm)
    assert type(layer) is torch.nn.GroupNorm
    assert (layer.num_groups, layer.eps) == (2, 1e-3)
    assert type(pickle.loads(pickle.dumps(copy.deepcopy(layer)))) is torch.nn.GroupNorm


@pytest.mark.parametrize(("kind", "target", "sizes", "eps"), [
    ("group_norm", "torch.nn:GroupNorm(num_groups=4)", Sizes(None, 4), None),
    ("group_norm", "torch.nn:GroupNorm(4)", Sizes(None, 4), None),
    ("group_norm", "torch.nn:GroupNorm(4, 8, eps=1e-3)", Sizes(8, 4, (8,)), 1e-3),
    ("group_norm", "torch.nn.functional:group_norm(num_groups=3)", Sizes(None, 3), None),
    ("layer_norm", "torch.nn:LayerNorm((3, 4))", Sizes(12, 1, (3, 4)), None),
    ("layer_norm", "torch.nn:LayerNorm(eps=1e-3)", None, 1e-3),
    ("layer_norm", "torch.nn.functional:layer_norm(eps=1e-3)", None, 1e-3),
    ("layer_norm", "torch.nn.functional:layer_norm(normalized_shape=[8])", Sizes(8, 1, (8,)), None),
    ("batch_norm", "torch.nn:BatchNorm2d(6)", Sizes(6, 1, (6,)), None),
    ("instance_norm", "torch.nn:InstanceNorm2d(affine=True, track_running_stats=True)", None, None),
])  # fmt: skip
def test_fixed_arguments(kind: str, target: str, sizes: Sizes | None, eps: float | None) -> None:
    """Sizes that are fixed are found, the others stay free; a fixed eps is not passed."""
    found = bound(kind, target)

    assert agrees(found)
    assert (found.domain.sizes, found.domain.eps) == (sizes, eps)


def test_literals_with_colons_and_equals_signs(file: str) -> None:
    """Through claim, loading, binding, identification, and the place in the source."""
    target = f'{file}:Norm(mode="a:b=c", groups=4)'
    found = claim(f"group_norm={target}", {})

    assert (found.kind, found.name, found.error) == ("group_norm", target, "")
    assert agrees(bound("group_norm", target))
    assert identify(target).kind == "group_norm"
    assert "an option that this test needs" in sentence(f"{file}:Norm(groups=4)", "group_norm")
    assert locate(target, Path(file).parent).line == 5


def test_a_function_with_fixed_arguments(file: str) -> None:
    """A required parameter without a role is given by a literal, by position or by name."""
    assert "gets no value for its parameter 'gain'" in sentence(f"{file}:scaled")
    assert agrees(bound("layer_norm", f"{file}:scaled(gain=1)"))
    assert not agrees(bound("layer_norm", f"{file}:scaled(gain=2.0)"))


def test_the_whole_way(file: str) -> None:
    """The verdict, the command that replays a finding, and the script name the arguments."""
    found = check(f"{file}:scaled(gain=1.5)", as_="layer_norm", effort="quick")

    assert not found.ok
    assert all(f"'layer_norm={file}:scaled(gain=1.5)'" in one.replay for one in found.findings)
    assert any("scaled(gain=1.5, x=x" in "\n".join(one.script) for one in found.findings)


def test_a_known_bug_is_known_with_arguments() -> None:
    """Fixed arguments do not make another target of torch's group norm."""
    assert known_bugs.of("torch.nn:GroupNorm(num_groups=4)", "input-layout") is not None


# Parameters that are passed on


class Passes(torch.nn.LayerNorm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


class Renames(torch.nn.LayerNorm):
    """In the way of timm's."""

    def __init__(self, channels: int, eps: float = 1e-6, affine: bool = True, **kwargs: Any) -> None:
        super().__init__(channels, eps=eps, elementwise_affine=affine, **kwargs)


class PassesTwice(Passes):
    def __init__(self, *args: Any, note: str = "", **kwargs: Any) -> None:
        self.note = note
        super(PassesTwice, self).__init__(*args, **kwargs)  # noqa: UP008  # the older form


class NamesItsBase(torch.nn.GroupNorm):
    def __init__(self, channels: int, *args: Any, **kwargs: Any) -> None:
        torch.nn.GroupNorm.__init__(self, 1, channels, *args, **kwargs)


class Mixin:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Mixed(Mixin, torch.nn.RMSNorm):
    pass


class PassesByPosition(torch.nn.LayerNorm):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)


def logged(function: Any) -> Any:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


def unnamed(function: Any) -> Any:
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


@logged
def wrapped(h: Any, normalized_shape: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> Any:
    return F.layer_norm(h, normalized_shape, gamma, beta, eps)


closed = unnamed(wrapped)


def default_eps(x: Any, *args: Any, **kwargs: Any) -> Any:
    return F.layer_norm(x, *args, **kwargs)


@pytest.mark.parametrize(("target", "names"), [
    (Passes, ["normalized_shape", "eps", "elementwise_affine", "bias", "device", "dtype"]),
    (Renames, ["channels", "eps", "affine", "bias", "device", "dtype"]),
    (PassesTwice, ["normalized_shape", "eps", "elementwise_affine", "bias", "device", "dtype", "note"]),
    (NamesItsBase, ["channels", "eps", "affine", "device", "dtype", "bias"]),
    (Mixed, ["normalized_shape", "eps", "elementwise_affine", "device", "dtype"]),
    (PassesByPosition, ["normalized_shape", "eps", "elementwise_affine", "bias", "device", "dtype"]),
    (wrapped, ["h", "normalized_shape", "gamma", "beta", "eps"]),
    (closed, ["h", "normalized_shape", "gamma", "beta", "eps"]),
    (default_eps, ["x", "normalized_shape", "weight", "bias", "eps"]),
])  # fmt: skip
def test_parameters_are_followed(target: Any, names: list[str]) -> None:
    """To the base class that is next in the method resolution order, and to the function that is called."""
    assert sorted(p.name for p in from_signature(target) or ()) == sorted(names)


@pytest.mark.parametrize(("kind", "target"), [
    ("layer_norm", Passes), ("layer_norm", Renames), ("layer_norm", PassesTwice), ("group_norm", NamesItsBase),
    ("rms_norm", Mixed), ("layer_norm", PassesByPosition), ("layer_norm", wrapped), ("layer_norm", closed),
    ("layer_norm", default_eps), ("layer_norm", f"tests/{HERE}:Passes(bias=False)"),
])  # fmt: skip
def test_what_passes_its_arguments_on_is_bound(kind: str, target: Any) -> None:
    """With eps as an argument, as the base has it."""
    found = bound(kind, target)

    assert agrees(found)
    assert found.domain.eps is None


class Recursive(torch.nn.Module):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Recursive(*args, **kwargs)


def itself(*args: Any, **kwargs: Any) -> Any:
    return itself(*args, **kwargs)


@pytest.mark.parametrize("target", [Recursive, itself])
def test_following_ends(target: Any) -> None:
    """A callable that passes its arguments to itself has no parameters of its own."""
    assert from_signature(target) is None


def test_a_text_that_names_no_target() -> None:
    with pytest.raises(UsageError, match="neither package"):
        target_of("Name(groups=4)")
