"""From a target to a subject: what is found, what is measured, and the sentence that is said where it does not work."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from normcheck import families
from normcheck.core.ask import run_check
from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, NormcheckError, UsageError
from normcheck.core.floats import Array
from normcheck.families import CHECKS
from normcheck.families import bind as subject
from normcheck.frameworks import known_bugs
from normcheck.frameworks.load import load
from normcheck.frameworks.probe import offered_affine
from normcheck.frameworks.roles import Parameter, bind, from_signature
from normcheck.frameworks.torch.tensors import one_thread
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.fit import fit, ranks
from normcheck.normalizers.sampling.recipes import Draw, Sizes, state, values
from normcheck.normalizers.sampling.space import edges
from normcheck.normalizers.subject import Subject


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors want one thread."""
    with one_thread():
        yield


def bound(kind: str, target: Any, **conventions: str) -> Subject:
    return subject(Implementation(kind, target, conventions))


def sentence(error: type[NormcheckError], call: Callable[[], object]) -> str:
    """The one line that is said."""
    with pytest.raises(error) as raised:
        call()
    text = str(raised.value)

    assert "\n" not in text
    return text


def agrees(found: Subject, **changes: Any) -> bool:
    """Whether y, and the gradients if there are any, are those of the reference, on an ordinary float64 case."""
    draw = Draw(rank=found.domain.ranks[0], affine=found.domain.affine[0], normalized=found.domain.normalized[-1])
    draw = fit(found.normalizer, Draw(**{f: getattr(draw, f) for f in Draw.__slots__} | changes), found.domain.sizes)
    case = values(found.normalizer, draw)
    case = case if found.domain.eps is None else case.but(eps=found.domain.eps)
    answer = found.call(case, found.domain.gradient)
    truth = evaluate(found.normalizer, case, found.contract)
    pairs = [(answer.y, truth.y)]
    if found.domain.gradient:
        pairs += [(answer.dx, truth.dx), (answer.dweight, truth.dweight), (answer.dbias, truth.dbias)]
    return all((a is None and b is None) or bool(np.allclose(a, b, rtol=1e-9, atol=1e-9)) for a, b in pairs)


# Targets by text


@pytest.mark.parametrize(("said", "roles"), [
    ("h, g, b", ("input", "weight", "bias")),
    ("d, e", ("input", "eps")),
    ("n, x", ("normalized_shape", "input")),
    ("weight, z", ("weight", "input")),
])  # fmt: skip
def test_a_single_letter_in_the_first_place_is_the_input(said: str, roles: tuple[str, ...]) -> None:
    """Unless another parameter has a name that says so."""
    normalizer = families.get("layer_norm")
    parameters = [Parameter(name, required=True, keyword=True) for name in said.split(", ")]
    found = bind(parameters, normalizer.arguments, normalizer, "f", fallback="input")

    assert tuple(role for role, *_ in found.parameters) == roles


def test_a_function_of_a_module() -> None:
    """package.module:attribute is imported."""
    assert load("torch.nn.functional:layer_norm") is F.layer_norm
    assert load("torch.nn:LayerNorm") is torch.nn.LayerNorm
    assert load("torch:nn.functional.layer_norm") is F.layer_norm


def test_a_function_of_a_file(tmp_path: Path) -> None:
    """path/to/file.py:attribute is run once, and its imports of neighbors work."""
    (tmp_path / "nc_neighbor.py").write_text("ANSWER = 42\n")
    (tmp_path / "mine.py").write_text(
        "import nc_neighbor\n\nclass A:\n    def f(self):\n        return nc_neighbor.ANSWER\n"
    )
    place = tmp_path / "mine.py"

    assert load(f"{place}:A.f") is load(f"{place}:A.f")
    assert load(f"{place}:A")().f() == 42


def test_a_relative_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may be named relative to the working directory."""
    (tmp_path / "nc_mine.py").write_text("def f(x):\n    return x\n")
    monkeypatch.chdir(tmp_path)

    assert load("./nc_mine.py:f")(3) == 3
    assert load("nc_mine.py:f")(4) == 4
    assert load("nc_mine:f")(5) == 5


def test_two_files_of_one_name(tmp_path: Path) -> None:
    """Two files of one name in two folders are two modules."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"WHERE = {folder!r}\n")

    assert [load(f"{tmp_path}/{folder}/mine.py:WHERE") for folder in ("a", "b")] == ["a", "b"]


def test_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file is named, with the folder that it was looked for in."""
    monkeypatch.chdir(tmp_path)

    said = sentence(UsageError, lambda: load("lost/mine.py:f"))
    assert said == f"lost/mine.py:f: there is no file 'lost/mine.py' (relative to {tmp_path})"


def test_a_path_that_is_no_python_file(tmp_path: Path) -> None:
    """A file without .py is refused."""
    (tmp_path / "mine.txt").write_text("no code")
    place = tmp_path / "mine.txt"

    assert sentence(UsageError, lambda: load(f"{place}:f")) == f"{place}:f: {str(place)!r} is not a Python file"


@pytest.mark.parametrize(("target", "missing"), [
    ("nc_nowhere:f", "nc_nowhere"),
    ("nc_nowhere.kernels:f", "nc_nowhere"),
    ("torch.nc_nowhere:f", "torch.nc_nowhere"),
])  # fmt: skip
def test_a_missing_module(target: str, missing: str) -> None:
    """A missing module is named, with the two usual reasons."""
    said = sentence(UsageError, lambda: load(target))
    hint = "is it installed, or is the working directory another?"
    assert said == f"{target}: there is no module {missing!r}; {hint}"


@pytest.mark.parametrize(("target", "expected"), [
    ("torch.nn.functional:layernorm", "'torch.nn.functional' has no attribute 'layernorm'; did you mean 'layer_norm'?"),
    ("torch.nn:Layernorm", "'torch.nn' has no attribute 'Layernorm'; did you mean 'LayerNorm'?"),
    ("torch.nn.functional:zzzzzz", "'torch.nn.functional' has no attribute 'zzzzzz'; see its public names with dir()"),
])  # fmt: skip
def test_a_missing_attribute(target: str, expected: str) -> None:
    """A missing attribute is answered with the nearest name."""
    assert sentence(UsageError, lambda: load(target)) == f"{target}: {expected}"


@pytest.mark.parametrize(("code", "expected"), [
    ("def norm(x): ...\ndef other(x): ...\n", "has no attribute 'zzz'; known: norm, other"),
    ("_hidden = 1\n", "has no attribute 'zzz'; it defines nothing public"),
])  # fmt: skip
def test_a_missing_attribute_of_a_small_file(tmp_path: Path, code: str, expected: str) -> None:
    """A small file's names are listed."""
    place = tmp_path / "small.py"
    place.write_text(code)

    assert sentence(UsageError, lambda: load(f"{place}:zzz")) == f"{place}:zzz: {str(place)!r} {expected}"


@pytest.mark.parametrize(("code", "raised"), [
    ("raise RuntimeError('no GPU here\\nsecond line')", "RuntimeError: no GPU here"),
    ("import sys; sys.exit(3)", "SystemExit: 3"),
    ("import nc_not_installed", "ModuleNotFoundError: No module named 'nc_not_installed'"),
    ("raise ValueError", "ValueError"),
    ("raise ValueError('long ' * 100)", "ValueError: " + "long " * 31 + "..."),
])  # fmt: skip
def test_code_that_raises_at_import(tmp_path: Path, code: str, raised: str) -> None:
    """Whatever a file raises at import becomes one line that names the target."""
    place = tmp_path / "mine.py"
    place.write_text(code)

    said = sentence(UsageError, lambda: load(f"{place}:f"))
    assert said == f"{place}:f: importing {str(place)!r} raised {raised}"


def test_code_that_cannot_be_parsed(tmp_path: Path) -> None:
    """A syntax error names the target and the kind of error."""
    place = tmp_path / "mine.py"
    place.write_text("def f(:\n")

    assert sentence(UsageError, lambda: load(f"{place}:f")).startswith(
        f"{place}:f: importing {str(place)!r} raised SyntaxError: "
    )


def test_a_failed_import_is_tried_again(tmp_path: Path) -> None:
    """A file that failed is run again the next time."""
    place = tmp_path / "mine.py"
    place.write_text("raise ValueError")
    sentence(UsageError, lambda: load(f"{place}:f"))
    place.write_text("def f(x): return x  # mended\n")

    assert load(f"{place}:f")(1) == 1


def test_a_text_without_a_colon() -> None:
    """A target in text that names no attribute is answered with the two forms."""
    said = sentence(UsageError, lambda: bound("layer_norm", "layer_norm"))
    assert "package.module:attribute" in said


# What is no implementation


class Plain:
    """No module, no function."""


class CannotBuild(torch.nn.Module):
    def __init__(self, normalized_shape: int) -> None:
        raise ValueError("no GPU here")


class NeedsMagic(torch.nn.Module):
    def __init__(self, normalized_shape: int, magic: int) -> None:
        super().__init__()


def needs_magic(x: Any, normalized_shape: Any, magic: Any) -> Any:
    return x


def sums(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return x.sum(-1)


def says_hello(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return "hello"


def explodes(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    raise RuntimeError("kernel exploded\nsecond line")


def leaves_early(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    sys.exit(2)


def makes_a_model(pretrained: bool = False, **options: Any) -> Any:
    raise AssertionError("called with an array")


NEITHER = "not a function, a torch.nn.Module class or instance, or a pair (forward, backward) of numpy functions"
FOR_6_8 = "for an input of shape (6, 8); the output must have the input's shape"


@pytest.mark.parametrize(("target", "error", "expected"), [
    (3, UsageError, f"builtins:int is int, {NEITHER}"),
    (None, UsageError, f"builtins:NoneType is NoneType, {NEITHER}"),
    (Plain, UsageError, f"{__name__}:Plain is a class, but no torch.nn.Module: name a function, or a method of an "
                        "instance"),
    (CannotBuild, UsageError, f"{__name__}:CannotBuild: constructing it as CannotBuild(normalized_shape=8) raised "
                              "ValueError: no GPU here"),
    (sums, CallError, f"{__name__}:sums returned a tensor of shape (6,) {FOR_6_8}"),
    (says_hello, CallError, f"{__name__}:says_hello returned str, not a tensor {FOR_6_8}"),
    (explodes, CallError, f"{__name__}:explodes raised RuntimeError: kernel exploded (a 6x8 float32 input)"),
    (makes_a_model, UsageError, f"{__name__}:makes_a_model: as layer_norm it takes no input: its first parameter "
                                "'pretrained' is False by default; name the input as one of input, x, inp"),
    (leaves_early, CallError, f"{__name__}:leaves_early raised SystemExit: 2 (a 6x8 float32 input)"),
])  # fmt: skip
def test_what_cannot_be_asked(target: Any, error: type[NormcheckError], expected: str) -> None:
    """What is no implementation, or fails on every ordinary input, is told in one sentence."""
    assert sentence(error, lambda: bound("layer_norm", target)) == expected


@pytest.mark.parametrize("target", [needs_magic, NeedsMagic])
def test_a_parameter_without_a_value(target: Any) -> None:
    """A required parameter of unknown name is named, with what would be understood."""
    said = sentence(UsageError, lambda: bound("layer_norm", target))

    assert said.startswith(
        f"{__name__}:{target.__name__}: as layer_norm it gets no value for its parameter 'magic'; give it a default, "
        "or name it as one of "
    )
    assert "normalized_shape" in said


@pytest.mark.parametrize("target", [needs_magic, NeedsMagic])
def test_only_roles_of_the_kind_are_listed(target: Any) -> None:
    """The names that would be understood are those that this kind has."""
    said = sentence(UsageError, lambda: bound("layer_norm", target))

    assert not {"backend", "momentum", "p", "track_running_stats"} & set(said.partition("one of ")[2].split(", "))


def test_an_unknown_kind() -> None:
    """A misspelled kind is found before the target is loaded."""
    said = sentence(UsageError, lambda: bound("layernorm", "nc_nowhere:f"))
    assert said == "unknown kind 'layernorm'; did you mean 'layer_norm'?"


# Names and orders of parameters

ROLES = ("x", "normalized_shape", "gamma", "beta", "epsilon")


@pytest.mark.parametrize("order", [(4, 3, 0, 2, 1), (2, 0, 1, 4, 3), (1, 2, 3, 4, 0)])
def test_aliases_in_odd_orders(order: tuple[int, ...]) -> None:
    """Parameters are matched by name, whatever their order."""
    names = ", ".join(ROLES[i] for i in order)
    scope: dict[str, Any] = {"F": F}
    exec(f"def f({names}):\n    return F.layer_norm(x, normalized_shape, gamma, beta, epsilon)", scope)
    found = bound("layer_norm", scope["f"])

    assert agrees(found)
    assert found.domain.affine == ("both",)
    assert found.domain.absent.keys() & {"weight", "bias", "eps", "normalized_shape"} == set()


def keyword_only(x: Any, *, shape: Any, scale: Any = None, shift: Any = None, variance_epsilon: float = 1e-5) -> Any:
    return F.layer_norm(x, shape, scale, shift, variance_epsilon)


def positional_only(inp: Any, shape: Any, gain: Any = None, beta: Any = None, e: float = 1e-5, /) -> Any:
    return F.layer_norm(inp, shape, gain, beta, e)


def unknown_first(activations: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> Any:
    return F.layer_norm(activations, activations.shape[-1:], gamma, beta, eps)


def several_outputs(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    y, mean, rstd = torch.native_layer_norm(x, normalized_shape, weight, bias, eps)
    return mean, y, rstd


def starred(*args: Any) -> Any:
    return F.layer_norm(*args)


def width_as_a_number(x: Any, hidden_size: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    assert isinstance(hidden_size, int)
    return F.layer_norm(x, (hidden_size,), weight, bias, eps)


@pytest.mark.parametrize("target", [
    keyword_only, positional_only, unknown_first, several_outputs, width_as_a_number,
    starred,
])  # fmt: skip
def test_other_signatures(target: Any) -> None:
    """Keyword-only, positional-only, unnamed first, starred parameters, further outputs, a number as shape."""
    found = bound("layer_norm", target)

    assert agrees(found)
    assert found.domain.eps is None


def test_the_nearest_name_wins() -> None:
    """In group norm g is the groups if the weight has a better name, else the gain."""
    kind = families.get("group_norm")

    def roles(*names: str) -> dict[str, str]:
        parameters = [Parameter(name, True, keyword=True) for name in names]
        return {name: role for role, name, *_ in bind(parameters, kind.arguments, kind, "t").parameters}

    assert roles("x", "num_groups", "g", "b") == {"x": "input", "num_groups": "num_groups", "g": "weight", "b": "bias"}
    assert roles("X_", "gamma", "groups")["groups"] == "num_groups"


def test_arguments_leave_out_what_is_optional() -> None:
    """After an optional role without a value the rest is passed by name, and a required one gets None."""
    kind = families.get("layer_norm")
    made = bind(from_signature(F.layer_norm) or [], kind.arguments, kind, "t")

    assert made.arguments({"input": 1, "normalized_shape": 2, "eps": 3}) == (
        [], {"input": 1, "normalized_shape": 2, "eps": 3},
    )  # fmt: skip
    assert made.required("input")
    assert not made.required("eps")
    assert made.name("momentum") == ""


# Kinds of callables


@torch.library.custom_op("nc_test::layer_norm", mutates_args=())
def custom_op(x: torch.Tensor, shape: list[int], weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    return F.layer_norm(x, shape, weight, bias, eps).clone()


class Function(torch.autograd.Function):
    """With ctx in its forward, in the older form."""

    @staticmethod
    def forward(ctx: Any, x: Any, gamma: Any, beta: Any, eps: Any) -> Any:
        mu = x.mean(-1, keepdim=True)
        s = ((x - mu).square().mean(-1, keepdim=True) + eps).sqrt()
        xh = (x - mu) / s
        ctx.save_for_backward(xh, s, gamma)
        return xh * gamma + beta

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        xh, s, gamma = ctx.saved_tensors
        g = dy * gamma
        dx = (g - g.mean(-1, keepdim=True) - xh * (g * xh).mean(-1, keepdim=True)) / s
        rows = tuple(range(dy.dim() - 1))
        return dx, (dy * xh).sum(rows), dy.sum(rows), None


class SetupFunction(Function):
    """With setup_context, in the newer form."""

    @staticmethod
    def forward(x: Any, gamma: Any, beta: Any, eps: Any) -> Any:
        return F.layer_norm(x, x.shape[-1:], gamma, beta, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, gamma, _, eps = inputs
        s = (x.var(-1, correction=0, keepdim=True) + eps).sqrt()
        ctx.save_for_backward((x - x.mean(-1, keepdim=True)) / s, s, gamma)


class Holder:
    """An object with a method, itself callable."""

    def __call__(self, x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        return F.layer_norm(x, normalized_shape, weight, bias, eps)

    def method(self, x: Any, w: Any, b: Any, eps: float = 1e-5) -> Any:
        return F.layer_norm(x, x.shape[-1:], w, b, eps)


def scripted() -> Any:
    module = torch.jit.CompilationUnit("""
def norm(x, shape: List[int], gamma: Optional[Tensor]=None, beta: Optional[Tensor]=None, eps: float=1e-5):
    return torch.layer_norm(x, shape, gamma, beta, eps)
""")
    return module.norm


@pytest.mark.parametrize("target", [
    pytest.param(scripted, id="scripted"),
    pytest.param(lambda: Function, id="autograd-function"),
    pytest.param(lambda: SetupFunction, id="setup-context"),
    pytest.param(lambda: functools.partial(F.layer_norm, eps=1e-3), id="partial"),
    pytest.param(lambda: functools.partial(keyword_only, scale=None), id="partial-of-keywords"),
    pytest.param(Holder, id="callable-object"),
    pytest.param(lambda: Holder().method, id="method"),
    pytest.param(lambda: torch.layer_norm, id="builtin"),
    pytest.param(lambda: torch.ops.aten.layer_norm, id="packet"),
    pytest.param(lambda: torch.ops.aten.layer_norm.default, id="overload"),
])  # fmt: skip
def test_kinds_of_callables(target: Callable[[], Any]) -> None:
    """Whatever can be called like a layer norm is bound and answers with values and gradients, eps as an argument."""
    found = bound("layer_norm", target())

    assert agrees(found)
    assert found.domain.gradient
    assert found.domain.eps is None


def test_a_custom_op() -> None:
    """A custom op is bound by its schema; one without a backward fails there, which is a fault to report."""
    found = bound("layer_norm", custom_op)
    case = values(found.normalizer, Draw())

    assert np.allclose(found.call(case, False).y, evaluate(found.normalizer, case).y)
    assert found.domain.eps is None
    assert found.domain.gradient
    assert "in its backward" in sentence(CallError, lambda: found.call(case, True))


@pytest.mark.parametrize(("kind", "target"), [
    ("batch_norm", torch.batch_norm),
    ("batch_norm", F.batch_norm),
    ("group_norm", torch.group_norm),
    ("instance_norm", torch.instance_norm),
    ("rms_norm", torch.rms_norm),
    ("weight_norm", torch._weight_norm),
])  # fmt: skip
def test_builtins(kind: str, target: Any) -> None:
    """torch's builtins, which have no signature, are bound by their schema."""
    found = bound(kind, target)

    assert agrees(found)
    assert found.domain.state == found.domain.evaluation == families.get(kind).state


def test_dims_of_weight_norm() -> None:
    """Both dims of a weight that the builtin offers are asked."""
    found = bound("weight_norm", torch._weight_norm)

    assert found.domain.dims == (0, 1)
    assert agrees(found, dim=1)
    assert bound("weight_norm", lambda v, g: torch._weight_norm(v, g, 0)).domain.absent == {
        "dim": "normalizes along one fixed dim"
    }


# numpy


def forward(x: Array, gamma: Array, beta: Array, eps: float = 1e-5) -> tuple[Array, Any]:
    mu = x.mean(-1, keepdims=True)
    s = np.sqrt(np.square(x - mu).mean(-1, keepdims=True) + x.dtype.type(eps))
    xh = (x - mu) / s
    return xh * gamma + beta, (xh, s, gamma)


def backward(dout: Array, cache: Any) -> Mapping[str, Array]:
    xh, s, gamma = cache
    g = dout * gamma
    dx = (g - g.mean(-1, keepdims=True) - xh * (g * xh).mean(-1, keepdims=True)) / s
    rows = tuple(range(dout.ndim - 1))
    return {"dgamma": (dout * xh).sum(rows), "dx": dx, "dbeta": dout.sum(rows)}


def backward_tuple(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    found = backward(dout, cache)
    return found["dx"], found["dgamma"], found["dbeta"]


def backward_from_inputs(x: Array, gamma: Array, dy: Array, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    return backward_tuple(dy, forward(x, gamma, np.zeros_like(gamma), eps)[1])


def backward_scalar(dout: Array, cache: Any) -> Mapping[str, Array]:
    return {"dx": dout.sum()}


class Both:
    """Forward and backward under their names."""

    forward = staticmethod(forward)
    backward = staticmethod(backward)


@pytest.mark.parametrize("target", [
    pytest.param((forward, backward), id="dict"),
    pytest.param((forward, backward_tuple), id="tuple"),
    pytest.param((forward, backward_from_inputs), id="without-cache"),
    pytest.param([forward, backward], id="list"),
    pytest.param(Both, id="class"),
    pytest.param(Both(), id="instance"),
])  # fmt: skip
def test_numpy_pairs(target: Any) -> None:
    """A pair in numpy answers with values and all gradients, in the formats that numpy has."""
    found = bound("layer_norm", target)

    assert agrees(found)
    assert found.domain.gradient
    assert found.domain.formats == ("float64", "float32", "float16")
    assert found.domain.absent["bfloat16"].endswith("works on numpy arrays, and numpy has no bfloat16")


def test_a_numpy_forward_alone() -> None:
    """A numpy function alone is asked for values; its gradient is listed as absent."""
    found = bound("layer_norm", forward)

    assert agrees(found)
    assert not found.domain.gradient
    assert found.domain.absent["gradient"] == "the output does not require grad"


def test_a_pair_is_named_by_both() -> None:
    """A pair is named by its two functions."""
    assert bound("layer_norm", (forward, backward)).name == f"({__name__}:forward, {__name__}:backward)"


def test_a_list_is_named_like_a_pair() -> None:
    """A pair given as a list has the name that it has as a tuple."""
    assert bound("layer_norm", [forward, backward]).name == f"({__name__}:forward, {__name__}:backward)"


def test_a_pair_with_something_else() -> None:
    """Half a pair is no pair."""
    said = sentence(UsageError, lambda: bound("layer_norm", (forward, 3)))
    assert said == f"({__name__}:forward, builtins:int) is tuple, {NEITHER}"


def test_a_gradient_of_the_wrong_shape_is_a_fault() -> None:
    """A backward that answers with a wrong shape is a fault to report, not a capability that is missing."""
    assert bound("layer_norm", (forward, backward_scalar)).domain.gradient


# Modules


class OtherNames(torch.nn.Module):
    """Parameters, options and widths under names of its own."""

    def __init__(self, hidden_size: int, variance_epsilon: float = 1e-6) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(hidden_size))
        self.shift = torch.nn.Parameter(torch.zeros(hidden_size))
        self.variance_epsilon = variance_epsilon

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(h, h.shape[-1:], self.gain, self.shift, self.variance_epsilon)


class Greek(torch.nn.Module):
    """Parameters that only their initial values tell, and a width called dim."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.alpha = torch.nn.Parameter(torch.ones(dim))
        self.omega = torch.nn.Parameter(torch.zeros(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], self.alpha, self.omega, 1e-4)


class Shifted(torch.nn.Module):
    """Gemma's: multiplies by 1 + w, initialized to zero."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, x.shape[-1:], None, self.eps) * (1 + self.weight)


def test_a_class_with_names_of_its_own() -> None:
    """Parameters and options of a class are found by other names."""
    found = bound("layer_norm", OtherNames)

    assert agrees(found)
    assert found.domain.eps is None
    assert found.domain.affine == ("both",)


def test_a_class_whose_parameters_only_their_values_tell() -> None:
    """Ones are the weight, zeros the bias; an eps written into the code is measured."""
    found = bound("layer_norm", Greek)

    assert agrees(found)
    assert found.domain.eps == 1e-4


def test_a_class_under_a_contract() -> None:
    """A contract given in words reaches the subject and its reference."""
    assert agrees(bound("rms_norm", Shifted, weight="1+w"))
    assert not agrees(bound("rms_norm", Shifted))


@pytest.mark.parametrize(("kind", "target"), [
    ("layer_norm", torch.nn.LayerNorm),
    ("rms_norm", torch.nn.RMSNorm),
    ("group_norm", torch.nn.GroupNorm),
    ("instance_norm", torch.nn.InstanceNorm2d),
    ("batch_norm", torch.nn.BatchNorm1d),
    ("batch_norm", torch.nn.BatchNorm2d),
    ("batch_norm", torch.nn.BatchNorm3d),
])  # fmt: skip
def test_module_classes_of_torch(kind: str, target: Any) -> None:
    """torch's classes are constructed for each case, with eps, with and without parameters."""
    found = bound(kind, target)

    assert agrees(found)
    assert found.domain.eps is None
    assert found.domain.affine == (("both",) if families.get(kind).bias else ()) + ("weight", "none")
    assert found.domain.state == found.domain.evaluation == families.get(kind).state


@pytest.mark.parametrize(("kind", "target", "sizes"), [
    ("layer_norm", torch.nn.LayerNorm(16), Sizes(16, 1, (16,))),
    ("layer_norm", OtherNames(16), Sizes(16, 1, (16,))),
    ("batch_norm", torch.nn.BatchNorm2d(6), Sizes(6, 1, (6,))),
    ("instance_norm", torch.nn.InstanceNorm2d(6, affine=True), Sizes(6, 1, (6,))),
])  # fmt: skip
def test_instances_keep_their_sizes(kind: str, target: Any, sizes: Sizes) -> None:
    """An instance is asked only at its own width and eps, and is itself left as it was."""
    before = {name: value.clone() for name, value in target.state_dict().items()}
    found = bound(kind, target)

    assert agrees(found)
    assert found.domain.sizes == sizes
    assert found.domain.eps == (1e-6 if isinstance(target, OtherNames) else 1e-5)
    assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())


def test_ranks_that_a_module_refuses() -> None:
    """Ranks that raise are not asked, and said."""
    found = bound("batch_norm", torch.nn.BatchNorm2d(6))

    assert found.domain.ranks == (4,)
    assert found.domain.absent["inputs of rank 2, 3, 5"] == "raised ValueError: expected 4D input (got 2D input)"


def test_a_module_without_parameters() -> None:
    """What a module has not is listed."""
    found = bound("layer_norm", torch.nn.LayerNorm(16, elementwise_affine=False))

    assert found.domain.affine == ("none",)
    assert found.domain.absent == {"weight": "has no weight", "bias": "has no bias"}


class AlwaysTracks(torch.nn.BatchNorm1d):
    """Inherits the option to keep no running statistics, and updates them all the same."""

    def _check_input_dim(self, input):
        pass

    def forward(self, input):
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        n = input.numel() // input.shape[1]
        var, mean = torch.var_mean(input, axes, correction=0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * n / (n - 1), self.momentum)
            self.num_batches_tracked += 1
        y = (input - mean.view(shape)) / (var.view(shape) + self.eps).sqrt()
        return y * self.weight.view(shape) + self.bias.view(shape) if self.affine else y


def test_a_module_that_cannot_do_without_its_statistics() -> None:
    found = bound("batch_norm", AlwaysTracks)

    assert found.domain.state
    assert found.domain.absent["track_running_stats=False"] == "needs running statistics"
    assert set(found.domain.affine) == {"both", "none"}


def test_a_module_without_buffers() -> None:
    """A batch norm that tracks nothing has no evaluation and no state, and that is listed."""
    found = bound("batch_norm", torch.nn.BatchNorm2d(6, track_running_stats=False))

    assert not found.domain.state
    assert not found.domain.evaluation
    assert found.domain.absent["running statistics"] == "keeps no running statistics"


def test_buffers_are_updated() -> None:
    """A batch norm class answers with buffers that moved in training and stayed in evaluation."""
    found = bound("batch_norm", torch.nn.BatchNorm2d)
    for training in (True, False):
        case = state(found.normalizer, Draw(rank=4), training=training)
        answer, truth = found.call(case, False), evaluate(found.normalizer, case)

        assert np.allclose(answer.running_mean, truth.running_mean, rtol=1e-12)
        assert np.allclose(answer.running_var, truth.running_var, rtol=1e-12)


@pytest.mark.parametrize(("kind", "build"), [
    pytest.param("layer_norm", lambda: torch.nn.LayerNorm(16), id="LayerNorm"),
    pytest.param("rms_norm", lambda: torch.nn.RMSNorm(16, eps=1e-6), id="RMSNorm"),
    pytest.param("rms_norm", lambda: torch.nn.RMSNorm(16), id="RMSNorm-eps-None"),
    pytest.param("group_norm", lambda: torch.nn.GroupNorm(2, 6), id="GroupNorm"),
    pytest.param("group_norm", lambda: torch.nn.GroupNorm(4, 8), id="GroupNorm-4-8"),
    pytest.param("group_norm", lambda: torch.nn.GroupNorm(1, 6), id="GroupNorm-1-6"),
    pytest.param("instance_norm", lambda: torch.nn.InstanceNorm2d(6), id="InstanceNorm2d"),
    pytest.param("instance_norm", lambda: torch.nn.InstanceNorm2d(6, affine=True), id="InstanceNorm2d-affine"),
    pytest.param("batch_norm", lambda: torch.nn.BatchNorm2d(6), id="BatchNorm2d"),
])  # fmt: skip
def test_instances_of_torch_pass(kind: str, build: Callable[[], Any]) -> None:
    """A correct instance passes the decisive draws of every check that it can be asked."""
    found = bound(kind, build())
    for check in CHECKS:
        known = known_bugs.of(found.name, check.name)  # torch's own fault in channels-last group norm
        if check.concerns(found.normalizer) and not check.lacks(found) and known is None:
            outcome = run_check(found, check, itertools.islice(edges(check.space, found.normalizer, found.domain), 5))

            assert outcome.finding is None, check.name


def test_an_instance_with_two_normalized_axes() -> None:
    """An instance that normalizes two axes is asked with inputs that have them."""
    assert agrees(bound("layer_norm", torch.nn.LayerNorm((4, 4))))


def test_weight_norm_of_a_module() -> None:
    """torch.nn.utils.parametrizations.weight_norm takes a module and returns it: the module form of a weight norm."""
    assert agrees(bound("weight_norm", torch.nn.utils.parametrizations.weight_norm))


# What is missing, and what is measured


def bare(x: Any) -> Any:
    return F.layer_norm(x, x.shape[-1:])


def only_x(x: Any) -> Any:
    return F.batch_norm(x, None, None, training=True)


def detached(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return F.layer_norm(x, normalized_shape, weight, bias, eps).detach()


class NoBackward(torch.autograd.Function):
    """Identity that cannot be differentiated yet."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        raise NotImplementedError("no backward yet")


def fails_backward(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return NoBackward.apply(F.layer_norm(x, normalized_shape, weight, bias, eps))


def only_float32(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    if x.dtype != torch.float32:
        raise TypeError("float32 only")
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def only_even(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    if x.shape[-1] % 2:
        raise ValueError("only even widths")
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def only_matrices(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    if x.dim() != 2:
        raise ValueError("only matrices")
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def test_capabilities_that_are_missing() -> None:
    """Every argument of torch's counterpart that is missing is listed once."""
    assert bound("layer_norm", bare).domain.absent == {
        "normalized_shape": "normalizes one fixed axis",
        "weight": "takes no weight",
        "bias": "takes no bias",
        "eps": "takes no eps",
    }
    absent = bound("batch_norm", only_x).domain.absent
    assert {key: absent[key] for key in ("running_mean", "weight", "bias", "training", "momentum", "eps")} == {
        "running_mean": "keeps no running statistics",
        "weight": "takes no weight",
        "bias": "takes no bias",
        "training": "has no evaluation mode",
        "momentum": "takes no momentum",
        "eps": "takes no eps",
    }


@pytest.mark.parametrize(("target", "absent"), [
    (F.layer_norm, {}),
    (only_float32, dict.fromkeys(("float64", "bfloat16", "float16"), "raised TypeError: float32 only")),
    (only_even, {"sets of 1, 3, 5, 7, 9, 11, ...": "raised ValueError: only even widths"}),
    (detached, {"gradient": "the output does not require grad"}),
    (fails_backward, {}),
    (only_matrices, {"inputs of rank 3, 4": "raised ValueError: only matrices",
                     "2 normalized axes": "raised ValueError: only matrices"}),
])  # fmt: skip
def test_what_raises_is_listed(target: Any, absent: dict[str, str]) -> None:
    """What an implementation refuses is not asked, and listed with the reason; nothing else is."""
    assert bound("layer_norm", target).domain.absent == absent


def test_refused_widths() -> None:
    """Widths that raise are refused, the others are asked."""
    refused = bound("layer_norm", only_even).domain.refused

    assert refused
    assert all(n % 2 for n in refused)
    assert {1, 3, 7, 17, 63, 65, 1025, 4097} <= refused


def test_a_backward_that_raises_is_a_fault() -> None:
    """A backward that raises does not count as a gradient that is not offered."""
    found = bound("layer_norm", fails_backward)
    case = values(found.normalizer, Draw(format="float32"))

    assert found.domain.gradient
    assert sentence(CallError, lambda: found.call(case, True)) == (
        f"{__name__}:fails_backward raised NotImplementedError: no backward yet in its backward (a 6x8 float32 input)"
    )


def fixed_eps(eps: float, *, outside: bool = False) -> Callable[..., Any]:
    """A layer norm with eps inside its code."""

    def norm(x: Any, w: Any, b: Any) -> Any:
        c = x - x.mean(-1, keepdim=True)
        v = c.square().mean(-1, keepdim=True)
        return c / (v.sqrt() + eps if outside else (v + eps).sqrt()) * w + b

    return norm


@pytest.mark.parametrize("eps", [1e-3, 1e-5, 1e-6, 3e-4, 1e-8])
def test_a_fixed_eps_is_measured(eps: float) -> None:
    """An eps inside the code is read off the output, exactly where it is a short number."""
    assert bound("layer_norm", fixed_eps(eps)).domain.eps == eps


def test_a_fixed_eps_outside_the_root() -> None:
    """Outside the root it is measured as what the contract says it is."""
    found = bound("layer_norm", fixed_eps(1e-3, outside=True), **{"eps-place": "outside"})
    case = values(found.normalizer, Draw(eps=1e-3))

    assert found.domain.eps == 1e-3
    assert np.allclose(found.call(case, False).y, evaluate(found.normalizer, case, found.contract).y, rtol=1e-9)


def test_a_declared_eps_wins() -> None:
    """An eps that the contract declares is believed."""
    assert bound("layer_norm", fixed_eps(1e-3), eps="1e-4").domain.eps == 1e-4


def test_no_plausible_eps_is_torch_default() -> None:
    """What shows no constant eps is held to torch's default."""
    assert bound("layer_norm", lambda x, w, b: x * w + b).domain.eps == 1e-5


class EpsInABuffer(torch.nn.Module):
    """Doubles what it normalizes, so that no output shows the eps."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("eps", torch.tensor([2.0**-10]))

    def forward(self, x: Any) -> Any:
        return 2.0 * F.layer_norm(x, x.shape[-1:], eps=float(self.eps))


def test_an_eps_in_a_tensor_is_the_one_of_the_layer() -> None:
    assert bound("layer_norm", EpsInABuffer).domain.eps == 2.0**-10


def test_formats_are_those_of_the_contract() -> None:
    """Formats that the contract does not claim are not tried."""
    assert bound("layer_norm", F.layer_norm, formats="float64,float32").domain.formats == ("float64", "float32")


def test_offered_affine() -> None:
    """A required parameter is always passed; RMSNorm never has a bias."""
    layer, rms = families.get("layer_norm"), families.get("rms_norm")

    assert offered_affine(["weight", "bias"], ["weight"], layer) == ("both", "weight")
    assert offered_affine(["weight", "bias"], ["weight", "bias"], layer) == ("both",)
    assert offered_affine(["weight", "bias"], [], rms) == ("weight", "none")
    assert offered_affine([], [], layer) == ("none",)


def test_ranks_start_where_the_table_is_measured() -> None:
    """Maps come first for what lives on maps, vectors for the others; instance norm has no vectors."""
    assert ranks(families.get("layer_norm")) == (2, 3, 4)
    assert ranks(families.get("batch_norm")) == (2, 3, 4, 5)
    assert ranks(families.get("group_norm")) == (4, 2, 3, 5)
    assert ranks(families.get("instance_norm")) == (4, 3, 5)


def at_least_1e_5(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    if eps < 1e-5:
        raise ValueError("eps is too small for this kernel")
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def at_most_1e_3(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    if eps > 1e-3:
        raise ValueError("eps is too large for this kernel")
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def test_a_largest_eps_is_found_and_kept() -> None:
    found = bound("layer_norm", at_most_1e_3)

    assert found.domain.most_eps == 1e-3
    assert found.domain.absent["eps above 0.001"] == "raised ValueError: eps is too large for this kernel"
    for check in CHECKS:
        if check.concerns(found.normalizer) and not check.lacks(found):
            assert run_check(found, check, edges(check.space, found.normalizer, found.domain)).finding is None, (
                check.name
            )


def test_a_least_eps_is_found_and_kept() -> None:
    """A kernel that refuses a small eps is right there: the refusal is listed, and no law asks below it."""
    found = bound("layer_norm", at_least_1e_5)

    assert found.domain.least_eps == 1e-5
    assert found.domain.absent["eps below 1e-05"] == "raised ValueError: eps is too small for this kernel"
    for check in CHECKS:
        if check.concerns(found.normalizer) and not check.lacks(found):
            assert run_check(found, check, edges(check.space, found.normalizer, found.domain)).finding is None, (
                check.name
            )
