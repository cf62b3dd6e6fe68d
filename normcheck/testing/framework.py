"""The test kit for frameworks: it tests one framework for everything that `frameworks.protocol.Framework` requires.

In the tests of a framework::

    @pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
    def test_my_framework(requirement):
        requirement.check(FRAMEWORK, SAMPLES)

`SAMPLES` holds functions and layers written in that framework: correct ones, and at least ten with known faults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from normcheck.core import uses
from normcheck.core.errors import CallError, NormcheckError
from normcheck.core.floats import FLOAT32, FORMATS
from normcheck.core.foreign_code import quiet
from normcheck.core.layouts import NAMES, REVERSED
from normcheck.frameworks import functions, layers, registry
from normcheck.frameworks.protocol import Framework
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.reference.oracle import evaluate, second, tangent
from normcheck.testing.agreement import (
    BATCH_NORM,
    LAYER_NORM,
    differentiates,
    differs_from_layer_norm,
    error_bound,
    first_call,
    ordinary_case,
    require,
    require_agreement,
    require_close,
    widest_format,
)

FINE = 1e-9
"""The unit roundoff from which on derivatives are compared coarsely: that of every format but float64."""

LEAST_FAULTS = 10
"""The least number of faulty samples of a framework."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Code in the framework under test; its parameters have names that `frameworks.roles` knows.

    layer_norm: a correct function of (input, normalized_shape, weight, bias, eps). faulty: at least ten such functions
    with one known fault each, by the name of the fault. batch_norm: a correct function that updates running
    statistics, None if functions of the framework keep none. layer, stateful_layer: classes of a correct layer norm and
    batch norm, None if the framework has no layers. raises: a function with the parameters of `layer_norm` that raises
    ValueError("no"). shapeless: such a function that returns an output of another shape. foreign: objects that are not
    targets of the framework.
    """

    layer_norm: Any
    faulty: Mapping[str, Any]
    raises: Any
    shapeless: Any
    batch_norm: Any = None
    layer: Any = None
    stateful_layer: Any = None
    foreign: tuple[Any, ...] = field(default=(3, "text", object()))


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement on a framework; text: what must hold. ask: raises `AssertionError` if it does not."""

    name: str
    text: str
    ask: Callable[[Framework, Samples], None]

    def __str__(self) -> str:
        return self.name

    def check(self, framework: Framework, samples: Samples) -> None:
        """Test a framework. Raises `AssertionError`, with the difference from what is required, if it fails."""
        with framework.settings(), quiet():
            self.ask(framework, samples)


def unfulfilled(framework: Framework, samples: Samples) -> dict[str, str]:
    """The requirements that a framework does not fulfill: the failure by name."""
    out = {}
    for requirement in REQUIREMENTS:
        try:
            requirement.check(framework, samples)
        except (AssertionError, NormcheckError) as error:
            out[requirement.name] = str(error)
        except Exception as error:  # any exception of the framework is a failure
            out[requirement.name] = f"{type(error).__name__}: {error}"
    return out


def _names(framework: Framework, samples: Samples) -> None:
    require(bool(framework.name), "the framework has no name")
    unknown = [
        *(set(framework.formats) - set(FORMATS)),
        *(set(framework.layouts) - {*NAMES[1:], REVERSED}),
        *({*framework.uses, *framework.layer_uses} - set(uses.ALL)),
    ]
    require(not unknown, f"unknown formats, layouts or uses: {', '.join(map(str, unknown))}")
    require(FLOAT32.name in framework.formats, f"the format {FLOAT32.name} is missing")


def _arrays(framework: Framework, samples: Samples) -> None:
    special = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan])
    for name in framework.formats:
        format = FORMATS[name]
        drawn = format.round(np.random.default_rng(0).standard_normal((3, 4)) * 3.0)
        for values_in in (drawn, special, np.zeros((0, 4)), np.array([format.largest, 2.0**format.smallest])):
            tensor = framework.tensor(values_in, name)
            values_out = framework.array(tensor)
            require(values_out.dtype == np.float64, f"array() returns {values_out.dtype}; expected float64")
            require(values_out.shape == values_in.shape, f"{name}: shape {values_in.shape} becomes {values_out.shape}")
            same = np.array_equal(values_out, values_in, equal_nan=True) and np.array_equal(
                np.signbit(values_out), np.signbit(values_in)
            )
            require(same, f"{name}: {values_in.ravel()[:3]} becomes {values_out.ravel()[:3]}")
            require(
                framework.format_of(tensor) == name, f"{name}: the format of its array is {framework.format_of(tensor)}"
            )
        tensor = framework.tensor(drawn, name)
        framework.array(tensor)[...] = 77.0
        require(np.array_equal(framework.array(tensor), drawn), f"{name}: array() shares memory with its array")


def _layouts(framework: Framework, samples: Samples) -> None:
    rows = np.repeat(np.random.default_rng(1).standard_normal((1, 2, 3, 4)), 3, axis=0)  # equal rows
    for layout in framework.layouts:
        found = framework.array(framework.tensor(rows, widest_format(framework), layout))
        require(np.array_equal(found, rows), f"the layout {layout} changes the values of an array")


def _targets(framework: Framework, samples: Samples) -> None:
    targets = [samples.layer_norm, *samples.faulty.values()]
    targets += [target for target in (samples.batch_norm, samples.layer, samples.stateful_layer) if target is not None]
    for target in targets:
        why = framework.accepts(target)
        require(not why, f"a target of the framework is refused: {why}")
        require(
            registry.candidates(target)[0] == framework.name,
            f"{target} is attributed to {registry.candidates(target)[0]}",
        )
    for target in samples.foreign:
        require(bool(framework.accepts(target)), f"{target!r} is accepted, but is not an implementation")


def _values(framework: Framework, samples: Samples) -> None:
    call = first_call(framework, samples.layer_norm)
    for name in framework.formats:
        for affine in ("both", "weight", "none"):
            case = ordinary_case(framework, format=name, affine=affine, rank=3, seed=2)
            answer = call(case, False)
            require_agreement(answer, evaluate(LAYER_NORM, case), f"{name}, parameters: {affine}", gradient=False)
            require(answer.format == name, f"an output in {name} is reported as {answer.format}")


def _gradients(framework: Framework, samples: Samples) -> None:
    call = first_call(framework, samples.layer_norm)
    if not differentiates(framework):
        require(call(ordinary_case(framework), True).dx is None, "a framework without gradients returns one")
        return
    for name in framework.formats:
        for affine in ("both", "none"):
            case = ordinary_case(framework, format=name, affine=affine, seed=3)
            require_agreement(
                call(case, True), evaluate(LAYER_NORM, case), f"{name}, parameters: {affine}", gradient=True
            )


def _independence(framework: Framework, samples: Samples) -> None:
    """A call does not change the result of the next one, nor the arrays of its case."""
    call = first_call(framework, samples.layer_norm)
    first, other = ordinary_case(framework, seed=4), ordinary_case(framework, seed=5, eps=0.25)
    before = first.x.copy(), call(first, True).y
    gradient = differentiates(framework)
    require_agreement(call(other, True), evaluate(LAYER_NORM, other), "the second call", gradient=gradient)
    require(np.array_equal(call(first, True).y, before[1]), "an answer depends on the call before it")
    require(np.array_equal(first.x, before[0]), "a call changes the arrays of its case")


def _failures(framework: Framework, samples: Samples) -> None:
    for target, part in ((samples.raises, "ValueError: no"), (samples.shapeless, "shape")):
        for attempt in functions.attempts(framework, target, LAYER_NORM, "my_target")[:1]:
            try:
                attempt.call(ordinary_case(framework), True)
            except CallError as error:
                require(
                    "my_target" in str(error) and part in str(error), f"the message does not contain {part!r}: {error}"
                )
                require("\n" not in str(error), f"the message is not one line: {error}")
            else:
                raise AssertionError("a target that fails does not raise CallError")


def _statistics(framework: Framework, samples: Samples) -> None:
    for target in (samples.batch_norm, samples.stateful_layer):
        if target is None:
            continue
        call = first_call(framework, target, BATCH_NORM)
        case = ordinary_case(framework, BATCH_NORM, seed=6)
        truth, answer = evaluate(BATCH_NORM, case), call(case, True)
        require_agreement(answer, truth, "training", gradient=differentiates(framework))
        for name in ("running_mean", "running_var"):
            require_close(getattr(answer, name), getattr(truth, name), 1e-3 * np.abs(getattr(truth, name)) + 1e-6, name)
        evaluation = case.but(training=False)
        require_agreement(call(evaluation, False), evaluate(BATCH_NORM, evaluation), "evaluation", gradient=False)


def _uses(framework: Framework, samples: Samples) -> None:
    call = first_call(framework, samples.layer_norm)
    plain = ordinary_case(framework, seed=7)
    if plain.format.u > FINE:  # a second derivative has the size of 1 / eps, and its rounding errors with it
        plain = plain.but(eps=0.25)
    direction = np.random.default_rng(7).standard_normal(plain.x.shape)
    plain = plain.but(tangent=plain.format.round(direction))
    truth = evaluate(LAYER_NORM, plain)
    for use in framework.uses:
        if use in (uses.OBSERVED, *uses.SLOW, uses.AUTOCAST, uses.WIDE):
            continue  # in other formats, with other rounding, for information only, or slow
        gradient = use not in uses.WITHOUT_GRADIENT and use != uses.JVP
        found = call(plain.but(use=use), gradient)
        require_agreement(found, truth, use, gradient=False)
        if gradient and uses.asks(use)[0]:
            require_close(found.dx, truth.dx, error_bound(truth, bounds.backward), f"{use}: the gradient of the input")
        scale = 1e-6 if plain.format.u < FINE else 1e-2
        if use in (uses.JVP, uses.SECOND):
            expected = tangent(truth)
            require_close(
                found.jv, expected, scale * (1.0 + np.abs(expected)), f"{use}: the derivative along the tangent"
            )
        if use == uses.SECOND:
            expected = second(LAYER_NORM, plain)
            require_close(found.ddx, expected, scale * (1.0 + np.abs(expected)), f"{use}: the second derivative")


def _layers(framework: Framework, samples: Samples) -> None:
    framework_layers = framework.layers
    if framework_layers is None:
        require(samples.layer is None, "there is a sample of a layer, but the framework has no layers")
        return
    require(samples.layer is not None, "the framework has layers: give a sample of one")
    call = first_call(framework, samples.layer)
    for format in framework.formats:
        case = ordinary_case(framework, format=format, seed=8)
        require_agreement(call(case, True), evaluate(LAYER_NORM, case), f"a layer in {format}", gradient=True)
    build = layers.builder(framework_layers, samples.layer, LAYER_NORM, "sample")
    layer = build(layers.sample_case(LAYER_NORM, 2))
    parts = framework_layers.parts(layer)
    require(bool(parts.weight and parts.bias), "the weight and the bias of a layer are not found")
    require(
        framework_layers.is_class(samples.layer) and not framework_layers.is_class(layer),
        "classes and instances are not distinguished",
    )
    copied = framework_layers.copy(layer)
    for name in (parts.weight, parts.bias):
        shared = copied is layer or getattr(copied, name, copied) is getattr(layer, name, layer)
        require(not shared, f"a copy of a layer shares {name} with it")
    sizes = framework_layers.sizes(layer)
    require(sizes is None or sizes.units == 8, f"an instance for 8 units is reported to have {sizes}")


def _lives(framework: Framework, samples: Samples) -> None:
    framework_layers = framework.layers
    if framework_layers is None or samples.stateful_layer is None:
        return
    build = layers.builder(framework_layers, samples.stateful_layer, BATCH_NORM, "sample")
    live = framework_layers.live(build, "sample")
    if live is None:
        return
    case = ordinary_case(framework, BATCH_NORM, seed=9)
    life = live(case)
    truth = evaluate(BATCH_NORM, case)
    for _ in range(2):
        life.call(case, False)
        mean, var = truth.running_mean, truth.running_var
        assert mean is not None
        require_close(life.state().mean, mean, 1e-3 * np.abs(mean) + 1e-6, "the running mean that a layer keeps")
        truth = evaluate(BATCH_NORM, case.but(running_mean=mean, running_var=var))


def _faults(framework: Framework, samples: Samples) -> None:
    """Every faulty sample differs from the reference, and the correct sample does not."""
    require(len(samples.faulty) >= LEAST_FAULTS, f"give at least {LEAST_FAULTS} faulty samples")
    for name, target in samples.faulty.items():
        require(
            differs_from_layer_norm(framework, target), f"{name}: the faulty sample does not differ from the reference"
        )
    require(not differs_from_layer_norm(framework, samples.layer_norm), "the correct sample differs from the reference")


REQUIREMENTS = (
    Requirement("names", "the framework has a name; its formats, layouts and uses are known", _names),
    Requirement("arrays", "tensor() and array() preserve values, including special ones, in every format", _arrays),
    Requirement("layouts", "an array has the same values in every layout", _layouts),
    Requirement("targets", "targets of the framework are recognized and accepted, others are refused", _targets),
    Requirement(
        "values", "a correct function agrees with the reference in every format, with and without parameters", _values
    ),
    Requirement("gradients", "so do its gradients", _gradients),
    Requirement("independence", "calls do not influence each other", _independence),
    Requirement(
        "failures", "an exception or an invalid output of a target becomes a CallError in one sentence", _failures
    ),
    Requirement("statistics", "running statistics are updated in training and used in evaluation", _statistics),
    Requirement("uses", "every way of calling gives the result of the plain call", _uses),
    Requirement("layers", "layers are recognized, constructed, and called with the parameters of a case", _layers),
    Requirement("lives", "a layer keeps its running statistics over several calls", _lives),
    Requirement("faults", "ten faulty functions differ from the reference, a correct one does not", _faults),
)
"""All requirements, in the order in which a new framework is best implemented."""
