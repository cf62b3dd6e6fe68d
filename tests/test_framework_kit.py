"""The test-kit for frameworks: torch and numpy fulfill it, and faults in a framework are found by its requirements."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from normcheck.core.floats import FORMATS
from normcheck.frameworks.numpy import framework as numpy_framework
from normcheck.frameworks.protocol import Framework, FunctionStyle, LayerParts
from normcheck.frameworks.torch import framework as torch_framework
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.wrong_lines import EXAMPLES, code
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Answer
from normcheck.testing.framework import REQUIREMENTS, Requirement, Samples, unfulfilled

TORCH: Framework = torch_framework.FRAMEWORK
NUMPY: Framework = numpy_framework.FRAMEWORK

NAMES = (
    "eps-outside-root", "eps-ignored", "variance-unbiased", "mean-not-subtracted", "weight-ignored", "bias-ignored",
    "weight-offset-one", "output-clipped", "one-pass-variance", "mean-term-missing", "variance-term-missing",
)  # fmt: skip
"""Faults whose line of code the pages show: the same lines are the samples."""


def _made(name: str) -> Any:
    held: dict[str, Any] = {}
    exec(code(name), held)
    return held["f"]


def raises(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    raise ValueError("no")


def shapeless(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return input[:1]


OF_TORCH = Samples(
    layer_norm=torch.nn.functional.layer_norm,
    faulty={name: _made(name) for name in NAMES},
    raises=raises,
    shapeless=shapeless,
    batch_norm=torch.nn.functional.batch_norm,
    layer=torch.nn.LayerNorm,
    stateful_layer=torch.nn.BatchNorm1d,
)


def _forward(wrong: str = "") -> Callable[..., Any]:
    """A layer norm of numpy arrays, with one line replaced where a fault is named."""

    def forward(x: Any, gamma: Any = None, beta: Any = None, eps: float = 1e-5) -> Any:
        h = x if x.dtype == np.float64 else x.astype(np.float32)
        mean = h.mean(-1, keepdims=True)
        c = h if wrong == "mean-not-subtracted" else h - mean
        var = (c * c).mean(-1, keepdims=True)
        if wrong == "variance-unbiased":
            var = h.var(-1, keepdims=True, ddof=1)
        if wrong == "one-pass-variance":
            var = (h * h).mean(-1, keepdims=True) - mean * mean
        added = {"eps-ignored": 0.0, "eps-squared": eps * eps, "eps-hard-coded": 1e-5}.get(wrong, eps)
        s = np.sqrt(var) + eps if wrong == "eps-outside-root" else np.sqrt(var + h.dtype.type(added))
        y = c / s
        if wrong == "output-clipped":
            y = y.clip(-1, 1)
        if gamma is not None and wrong != "weight-ignored":
            y = y * (gamma + 1 if wrong == "weight-offset-one" else gamma)
        if beta is not None and wrong != "bias-ignored":
            y = y + beta
        return y.astype(x.dtype), (c / s, s, gamma, x.dtype)

    return forward


def _backward(dy: Any, cache: Any) -> Any:
    xh, s, gamma, dtype = cache
    g = (dy if gamma is None else dy * gamma).astype(xh.dtype)
    dx = (g - g.mean(-1, keepdims=True) - xh * (g * xh).mean(-1, keepdims=True)) / s
    cases = tuple(range(dy.ndim - 1))
    return dx.astype(dtype), (dy * xh).sum(cases).astype(dtype), dy.sum(cases)


OF_NUMPY = Samples(
    layer_norm=(_forward(), _backward),
    faulty={
        name: (_forward(name), _backward)
        for name in (
            "mean-not-subtracted", "variance-unbiased", "one-pass-variance", "eps-ignored", "eps-squared",
            "eps-hard-coded", "eps-outside-root", "output-clipped", "weight-ignored", "weight-offset-one",
            "bias-ignored",
        )
    },
    raises=(raises, _backward),
    shapeless=(lambda x, gamma=None, beta=None, eps=1e-5: x[:1], _backward),
)  # fmt: skip


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
@pytest.mark.parametrize(("framework", "samples"), [(TORCH, OF_TORCH), (NUMPY, OF_NUMPY)], ids=["torch", "numpy"])
def test_the_frameworks_fulfill_it(requirement: Requirement, framework: Framework, samples: Samples) -> None:
    requirement.check(framework, samples)


def test_samples_are_faults_that_have_a_line() -> None:
    assert set(NAMES) <= set(EXAMPLES)


@dataclass(frozen=True)
class Broken:
    """torch behind the protocol, with some of it replaced."""

    changes: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.changes[name] if name in self.changes else getattr(TORCH, name)


def _calls(wrap: Callable[[Any, Case, bool], Answer]) -> dict[str, Any]:
    """Every call of a function goes through `wrap`."""

    def function(function: Any, binding: Any, normalizer: Any, name: str, style: FunctionStyle) -> Any:
        call = TORCH.function(function, binding, normalizer, name, style)
        return lambda case, gradient: wrap(call, case, gradient)

    return {"function": function}


KEPT: list[Answer] = []


def _first_answer(call: Any, case: Case, gradient: bool) -> Answer:
    KEPT.append(call(case, gradient))
    same = [one for one in KEPT if one.y.shape == case.x.shape and (one.dx is None) is not gradient]
    return same[0]


def _eager_values(values: Any, format: str, layout: str = "contiguous") -> Any:
    return TORCH.tensor(values, "float32").to(torch_framework.tensors.DTYPES[format])


def _raw(call: Any, case: Case, gradient: bool) -> Answer:
    try:
        return call(case, gradient)
    except Exception as error:
        raise RuntimeError("line one\nline two") from error


def _layers(**changes: Any) -> dict[str, Any]:
    """The layers of torch with some of their methods replaced."""
    own = TORCH.layers
    assert own is not None
    methods = ("names", "is_layer", "is_class", "constructor", "construct", "copy", "materialized", "unexplained",
               "parts", "sizes", "call", "spell", "operations", "live")  # fmt: skip
    return {"layers": SimpleNamespace(**{name: getattr(own, name) for name in methods} | changes)}


def _without_weight(build: Any, name: str, normalizer: Any) -> Any:
    assert TORCH.layers is not None
    call = TORCH.layers.call(build, name, normalizer)
    return lambda case, gradient: call(case.but(weight=np.ones_like(case.weight)), gradient)


class Forgets:
    """A layer that is built anew for every call."""

    def __init__(self, live: Any, case: Case) -> None:
        self._live, self._case, self._life = live, case, live(case)

    def call(self, case: Case, gradient: bool) -> Answer:
        self._life = self._live(self._case)
        return self._life.call(case, gradient)

    def state(self) -> Any:
        return self._life.state()


def _forgets(build: Any, name: str) -> Any:
    assert TORCH.layers is not None
    live = TORCH.layers.live(build, name)
    return lambda case: Forgets(live, case)


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "the parameters of a layer are not found": (_layers(parts=lambda layer: LayerParts()), "layers"),
    "an instance is taken for a class": (_layers(is_class=lambda target: True), "layers"),
    "an instance says that it has other sizes": (_layers(sizes=lambda layer: Sizes(9, 1, (9,))), "layers"),
    "a copy shares the parameters": (_layers(copy=copy.copy), "layers"),
    "a copy is the layer itself": (_layers(copy=lambda layer: layer), "layers"),
    "the weight of a case does not reach the layer": (_layers(call=_without_weight), "layers"),
    "a layer keeps no state over calls": (_layers(live=_forgets), "lives"),
    "values pass through float32": ({"tensor": _eager_values}, "arrays"),
    "array() is a view": ({"array": lambda t: t.detach().to(torch.float64).numpy()}, "arrays"),
    "values change with the layout": (
        {"tensor": lambda v, f, layout="contiguous": (1 if layout == "contiguous" else -1) * TORCH.tensor(v, f)},
        "layouts",
    ),
    "the format is not told": ({"format_of": lambda t: "float32"}, "arrays"),
    "a format that is none": ({"formats": (*FORMATS, "float8")}, "names"),
    "everything is accepted": ({"accepts": lambda target: ""}, "targets"),
    "the weight is not passed": (_calls(lambda call, c, g: call(c.but(weight=None), g)), "values"),
    "the cotangent is ones": (_calls(lambda call, c, g: call(c.but(dy=np.ones(c.x.shape)), g)), "gradients"),
    "the gradient of the weight is lost": (
        _calls(lambda call, c, g: replace(call(c, g), dweight=None)), "gradients",
    ),
    "the first answer is given again": (_calls(_first_answer), "independence"),
    "exceptions are not translated": (_calls(_raw), "failures"),
    "statistics come back as they went in": (
        _calls(lambda call, c, g: replace(call(c, g), running_mean=c.running_mean, running_var=c.running_var)),
        "statistics",
    ),
    "evaluation is training": (_calls(lambda call, c, g: call(c.but(training=True), g)), "statistics"),
    "forward mode returns the output": (
        _calls(lambda call, c, g: replace(a := call(c, g), jv=a.y if a.jv is not None else None)), "uses",
    ),
    "the gradient is computed twice": (
        _calls(lambda call, c, g: replace(a := call(c, g), dx=None if a.dx is None else 2.0 * a.dx)), "gradients",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_in_a_framework_is_found(fault: str) -> None:
    """Each fault is found by the requirement that names what it damages."""
    KEPT.clear()
    changes, name = BROKEN[fault]
    broken: Any = Broken(changes)

    found = unfulfilled(broken, OF_TORCH)

    assert name in found, found
    assert all(found.values())


def test_too_few_samples_are_refused() -> None:
    few = replace(OF_TORCH, faulty=dict(list(OF_TORCH.faulty.items())[:3]))
    assert "give at least 10" in unfulfilled(TORCH, few)["faults"]


def test_a_right_sample_that_is_none_is_found() -> None:
    wrong = replace(OF_TORCH, layer_norm=OF_TORCH.faulty["variance-unbiased"])
    assert {"values", "gradients", "faults"} <= set(unfulfilled(TORCH, wrong))


def test_layers_without_a_sample_are_told() -> None:
    assert "give a sample" in unfulfilled(TORCH, replace(OF_TORCH, layer=None))["layers"]
