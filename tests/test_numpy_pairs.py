"""Pairs of numpy functions: what their calls change, the layouts of their arrays, and a dict of settings."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import sweep

import normcheck
from normcheck.core.claim import Implementation
from normcheck.core.layouts import NAMES, REVERSED, applies, geometry
from normcheck.families import bind
from normcheck.frameworks.numpy.arrays import in_layout, memory, overlapping
from normcheck.frameworks.numpy.options import options_of
from normcheck.frameworks.roles import from_signature
from normcheck.normalizers.catalog import batch_norm, layer_norm
from normcheck.normalizers.sampling.recipes import Draw, small, state

COURSES = Path(__file__).parent / "user_code" / "courses.py"
COURSE = {"momentum": "old", "running-variance": "biased"}
"""The conventions of the course's batch norm."""

RIGHT = (
    ("batch_norm", "batch_norm", COURSE),
    ("batch_norm", "maps", COURSE),
    ("layer_norm", "layer_norm", {}),
    ("group_norm", "group_norm", {}),
)

WRONG = (
    ("batch_norm", "other_momentum", COURSE, "conventions"),
    ("batch_norm", "statistics_not_stored", COURSE, "running-statistics"),
    ("batch_norm", "evaluation_updates", COURSE, "evaluation-keeps-state"),
    ("layer_norm", "eps_not_read", {}, "eps-is-read"),
    ("layer_norm", "cotangent_written", {}, "backward-is-pure"),
    ("layer_norm", "warnings_off", {}, "forward-is-pure"),
    ("layer_norm", "strides_not_read", {}, "input-layout"),
    ("group_norm", "shift_averaged", {}, "parameter-gradients"),
)


def check(kind: str, name: str, contract: dict[str, str]) -> Any:
    return normcheck.check(f"{COURSES}:{name}", as_=kind, contract=contract, effort="quick")


@sweep(("kind", "name", "contract"), RIGHT)
def test_right_pairs_of_a_course_pass(kind: str, name: str, contract: dict[str, str]) -> None:
    verdict = check(kind, name, contract)

    assert verdict.ok, [(one.check, one.detail) for one in verdict.findings]
    assert not verdict.errors


@sweep(("kind", "name", "contract", "finder"), WRONG)
def test_wrong_pairs_of_a_course_fail(kind: str, name: str, contract: dict[str, str], finder: str) -> None:
    verdict = check(kind, name, contract)

    assert finder in [one.check for one in verdict.findings]
    assert not verdict.errors


def test_a_backward_of_training_only_is_not_judged_in_evaluation() -> None:
    """Without a cache of an evaluation the backward raises; with one it passes through statistics all the same."""
    raises = bind(Implementation("batch_norm", f"{COURSES}:batch_norm", COURSE)).domain
    through = bind(Implementation("batch_norm", f"{COURSES}:maps", COURSE)).domain

    assert raises.evaluation
    assert not raises.evaluation_gradient
    assert raises.absent["gradients in evaluation"].startswith("raised TypeError")
    assert not through.evaluation_gradient
    assert through.absent["gradients in evaluation"].startswith("its backward is that of training")


def _forward(x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any, training: bool) -> Any:
    mean, var = (x.mean(0), x.var(0)) if training else (running_mean, running_var)
    s = np.sqrt(var + 1e-5)
    return gamma * (x - mean) / s + beta, ((x - mean) / s, s, gamma)


def _backward(dy: Any, cache: Any) -> Any:
    xh, s, gamma = cache
    g = dy * gamma
    return (g - g.mean(0) - xh * (g * xh).mean(0)) / s, (dy * xh).sum(0), dy.sum(0)


def _affine_backward(dy: Any, cache: Any) -> Any:
    xh, s, gamma = cache
    return dy * gamma / s, (dy * xh).sum(0), dy.sum(0)


def _backward_with_mode(dy: Any, cache: Any, training: bool) -> Any:
    return _backward(dy, cache)


@pytest.mark.parametrize(
    ("backward", "judged"), [(_backward, False), (_affine_backward, True), (_backward_with_mode, True)]
)
def test_a_backward_that_may_know_the_mode_is_judged(backward: Any, judged: bool) -> None:
    found = bind(Implementation("batch_norm", (_forward, backward), {"eps": "1e-5"}))

    assert found.domain.evaluation_gradient is judged


# What a call changes


def _changed(change: Any, *, gradient: bool = True) -> tuple[str, ...]:
    """What is reported of a right layer norm that does one more thing: in its forward and in its backward."""
    kept: dict[str, Any] = {}

    def forward(x: Any, gamma: Any, beta: Any, eps: float) -> Any:
        c = x - x.mean(-1, keepdims=True)
        s = np.sqrt((c * c).mean(-1, keepdims=True) + eps)
        y = gamma * c / s + beta
        kept["y"] = y
        replaced = change("forward", x, gamma, y)
        return (y if replaced is None else replaced), (c / s, s, gamma, x)

    def backward(dy: Any, cache: Any) -> Any:
        xh, s, gamma, x = cache
        g = dy * gamma
        dx = (g - g.mean(-1, keepdims=True) - xh * (g * xh).mean(-1, keepdims=True)) / s
        found = dx, (dy * xh).sum(0), dy.sum(0)
        change("backward", x, dy, kept["y"])
        return found

    subject = bind(Implementation("layer_norm", (forward, backward)))
    case = small(layer_norm, Draw(n=4, sets=3, rank=2, format="float64"))
    return tuple(subject.call(case.but(watched=True), gradient).changed)


def _in(place: str, run: Any) -> Any:
    return lambda where, x, other, y: run(x, other, y) if where == place else None


@pytest.mark.parametrize(("change", "words"), [
    pytest.param(_in("forward", lambda x, w, y: x.fill(0.0)), "x was written to", id="x"),
    pytest.param(_in("backward", lambda x, dy, y: x.fill(0.0)), "x was written to", id="x-in-backward"),
    pytest.param(_in("forward", lambda x, w, y: w.fill(1.0)), "weight was written to", id="weight"),
    pytest.param(_in("backward", lambda x, dy, y: dy.fill(0.0)), "dy was written to", id="dy"),
    pytest.param(_in("forward", lambda x, w, y: x), "the output shares memory with x", id="alias"),
    pytest.param(_in("forward", lambda x, w, y: x[::-1, ::-1]), "the output shares memory with x", id="view"),
    pytest.param(_in("backward", lambda x, dy, y: y.fill(0.0)), "the output was written to by the backward", id="y"),
    pytest.param(_in("forward", lambda x, w, y: np.broadcast_to(y[:1], y.shape)),
                 "several entries of the output share memory", id="overlap"),
    pytest.param(_in("forward", lambda x, w, y: np.ma.array(y)), "the output is no plain array: MaskedArray",
                 id="subclass"),
    pytest.param(_in("forward", lambda x, w, y: np.seterr(all="ignore") and None),
                 "numpy's handling of floating-point errors was changed", id="errors"),
    pytest.param(_in("backward", lambda x, dy, y: np.seterr(divide="warn") and None),
                 "numpy's handling of floating-point errors was changed", id="errors-in-backward"),
    pytest.param(_in("forward", lambda x, w, y: warnings.simplefilter("ignore")),
                 "the list of warning filters was changed", id="filters"),
    pytest.param(_in("forward", lambda x, w, y: np.random.seed(0)),  # noqa: NPY002
                 "numpy's random state was changed", id="random"),
])  # fmt: skip
def test_what_a_call_changes_is_reported(change: Any, words: str) -> None:
    before = np.geterr(), list(warnings.filters)

    assert words in _changed(change)
    assert (np.geterr(), list(warnings.filters)) == before


def _restoring(where: str, x: Any, other: Any, y: Any) -> None:
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")


@pytest.mark.parametrize("change", [lambda *_: None, _restoring])
@pytest.mark.parametrize("gradient", [False, True])
def test_a_call_that_restores_what_it_sets_changes_nothing(change: Any, gradient: bool) -> None:
    assert _changed(change, gradient=gradient) == ()


def test_a_result_in_a_buffer_is_reported() -> None:
    held: dict[Any, Any] = {}

    def change(where: str, x: Any, other: Any, y: Any) -> Any:
        if where == "forward":
            buffer = held.setdefault(x.shape, np.empty_like(y))
            buffer[...] = y
            return buffer
        return None

    assert "a later call changed an earlier result" in _changed(change)


def test_running_statistics_are_watched_in_evaluation_only() -> None:
    def forward(x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any, training: bool) -> Any:
        running_mean *= 0.5
        return _forward(x, gamma, beta, running_mean, running_var, training)

    subject = bind(Implementation("batch_norm", (forward, _backward), {"eps": "1e-5"}))
    draw = Draw(n=4, sets=3, rank=2, format="float64")
    changed = [
        subject.call(state(batch_norm, draw, training=mode).but(watched=True), False).changed for mode in (True, False)
    ]

    assert changed == [(), ("running mean was written to",)]


# Layouts


@pytest.mark.parametrize("shape", [(4, 3), (1, 5), (2, 3, 2, 5), (7,)])
@pytest.mark.parametrize("name", [*NAMES, REVERSED])
def test_layouts_keep_values_and_lie_in_nan(shape: tuple[int, ...], name: str) -> None:
    if not applies(shape, name):
        return
    values = np.arange(float(np.prod(shape))).reshape(shape) + 1.0
    if name == "expanded":
        values = np.broadcast_to(values[:1], shape).copy()
    found = in_layout(values, "float32", name)

    assert np.array_equal(found, values)
    assert overlapping(found) is (name == "expanded")
    if name != "contiguous":
        assert tuple(stride // 4 for stride in found.strides) == geometry(shape, name).strides
        around = memory(found).view(np.float32)
        assert np.isnan(around[:5]).all()
        assert np.isnan(around[-5:]).all()
        assert np.count_nonzero(~np.isnan(around)) == (values.size // shape[0] if name == "expanded" else values.size)


def test_a_pair_is_asked_in_every_layout() -> None:
    found = bind(Implementation("layer_norm", f"{COURSES}:layer_norm"))

    assert found.domain.layouts == (*NAMES[1:], REVERSED)


# A dict of settings


def _options(function: Any) -> Any:
    return options_of(function, from_signature(function) or [], batch_norm)


def test_the_keys_of_a_dict_are_those_that_the_code_reads() -> None:
    def flags(x: Any, gamma: Any, beta: Any, config: Any) -> Any:
        return config["is_training"], config.get("epsilon"), config["decay"]

    def words(x: Any, eps: float, bn_params: Any) -> Any:
        return bn_params["mode"] == "training" or bn_params["mode"] == "eval", bn_params["eps"]

    def without(x: Any, gamma: Any, beta: Any) -> Any:
        return {"eps": 1e-5}

    assert dict(_options(flags).keys) == {"training": "is_training", "momentum": "decay", "eps": "epsilon"}
    assert dict(_options(words).keys) == {"training": "mode"}  # eps is a parameter of its own
    packed = {"mode": "eval"}
    assert _options(words).packed({"x": 1, "training": False}) == ({"x": 1, "bn_params": packed}, packed)
    assert _options(without) is None


def test_the_keys_of_functions_that_are_called_count() -> None:
    def outer(x: Any, gamma: Any, beta: Any, bn_param: Any) -> Any:
        return _called(x, bn_param)

    assert dict(_options(outer).keys) == {"momentum": "momentum"}


def _called(x: Any, bn_param: Any) -> Any:
    return x * bn_param["momentum"]


LAYERS = Path(__file__).parent / "user_code" / "numpy_layers.py"


@pytest.mark.parametrize(
    ("name", "kind", "declared"),
    [
        ("BatchNormalization", "batch_norm", {"momentum": "old", "running-variance": "biased"}),
        ("LayerNorm", "layer_norm", {}),
        ("GradientsAddUpUntilCleared", "layer_norm", {}),
        ("DictsOfArrays", "batch_norm", {}),
        ("NameSpace", "layer_norm", {}),
    ],
)
def test_a_class_with_a_backward_is_a_pair(name: str, kind: str, declared: dict[str, str]) -> None:
    found = normcheck.check(f"{LAYERS}:{name}", as_=kind, effort="quick", contract=declared)

    assert found.ok, str(found)
    assert "gradient    full, as claimed" in str(found)


def test_a_wrong_backward_of_a_class_is_named() -> None:
    for name, fault in (("WithoutMeanTerm", "mean-term-missing"), ("GradientsAddUp", "dweight-accumulates")):
        found = normcheck.check(f"{LAYERS}:{name}", as_="layer_norm", effort="quick")

        assert [cause["name"] for cause in found.causes] == [fault]


def test_conventions_of_a_class_are_measured() -> None:
    found = normcheck.check(f"{LAYERS}:BatchNormalization", as_="batch_norm", effort="quick")

    assert [cause["declare"] for cause in found.causes] == ["running-variance=biased", "momentum=old"]
