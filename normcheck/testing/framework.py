"""The test kit for frameworks: it tests one framework for everything that `frameworks.protocol.Framework` requires.

In the tests of a framework::

    @pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
    def test_my_framework(requirement):
        requirement.check(FRAMEWORK, SAMPLES)

`SAMPLES` holds functions and layers written in that framework: correct ones, and at least ten with known faults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from normcheck.core import uses
from normcheck.core.errors import CallError, NormcheckError
from normcheck.core.floats import FORMATS, Array
from normcheck.core.foreign_code import quiet
from normcheck.core.layouts import NAMES
from normcheck.frameworks import functions, layers, registry
from normcheck.frameworks.protocol import Framework
from normcheck.normalizers import catalog
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth, evaluate, second, tangent
from normcheck.normalizers.sampling.recipes import Draw, state, values
from normcheck.normalizers.subject import Answer, Call

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


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise AssertionError(text)


LAYER_NORM, BATCH_NORM = catalog.layer_norm, catalog.batch_norm


def _call(framework: Framework, target: Any, normalizer: Normalizer = LAYER_NORM) -> Call:
    """The first way of calling a target that works on an ordinary case."""
    own = framework.layers
    if own is not None and own.is_layer(target):
        attempts = layers.attempts(framework, own, target, normalizer, "sample")
    else:
        attempts = functions.attempts(framework, target, normalizer, "sample")
    failure: CallError | None = None
    for attempt in attempts:
        try:
            attempt.call(_case(framework, normalizer), False)
        except CallError as error:
            failure = failure or error
            continue
        return attempt.call
    raise failure or CallError("there is no way to call the sample")


def _widest(framework: Framework) -> str:
    return next(name for name in FORMATS if name in framework.formats)


def _case(framework: Framework, normalizer: Normalizer = LAYER_NORM, **changes: Any) -> Case:
    draw = replace(Draw(format=_widest(framework), n=8, sets=5), **changes)
    return state(normalizer, draw, training=True) if normalizer.state else values(normalizer, draw)


def _close(found: Array | None, expected: Array | None, allowed: Array, what: str) -> None:
    """Assert that an array is there, has the expected shape, and is within the bound in every entry."""
    _require(found is not None, f"{what} is missing")
    assert found is not None
    assert expected is not None
    _require(found.shape == expected.shape, f"{what} has shape {found.shape}; expected {expected.shape}")
    beyond = np.abs(found - expected) > np.broadcast_to(allowed, expected.shape)
    _require(not beyond.any(), f"{what} is wrong in {int(beyond.sum())} of {beyond.size} entries")


def _allowed(truth: Truth, bound: Callable[[Truth, bounds.Accuracy], bounds.ErrorBound]) -> Array:
    """The error bound of the least accurate class: samples may be inaccurate, but must compute the same function."""
    out: Array = np.maximum.reduce([bound(truth, one).total for one in bounds.classes(truth.case.format)])
    return out


def _right(answer: Answer, truth: Truth, what: str, *, gradient: bool) -> None:
    """Assert that an answer agrees with the reference."""
    _close(answer.y, truth.y, _allowed(truth, bounds.forward), f"{what}: the output")
    if not gradient:
        return
    _close(answer.dx, truth.dx, _allowed(truth, bounds.backward), f"{what}: the gradient of the input")
    for name, bias in (("dweight", False), ("dbias", True)):
        expected = getattr(truth, name)
        if expected is not None:
            allowed = _allowed(truth, partial(bounds.parameter, bias=bias))
            _close(getattr(answer, name), expected, allowed, f"{what}: {name}")


def _names(framework: Framework, samples: Samples) -> None:
    _require(bool(framework.name), "the framework has no name")
    unknown = [
        *(set(framework.formats) - set(FORMATS)),
        *(set(framework.layouts) - set(NAMES[1:])),
        *({*framework.uses, *framework.layer_uses} - set(uses.ALL)),
    ]
    _require(not unknown, f"unknown formats, layouts or uses: {', '.join(map(str, unknown))}")
    _require("float32" in framework.formats, "arrays in float32 are not offered")


def _arrays(framework: Framework, samples: Samples) -> None:
    special = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan])
    for name in framework.formats:
        format = FORMATS[name]
        drawn = format.round(np.random.default_rng(0).standard_normal((3, 4)) * 3.0)
        for given in (drawn, special, np.zeros((0, 4)), np.array([format.largest, 2.0**format.smallest])):
            made = framework.tensor(given, name)
            back = framework.array(made)
            _require(back.dtype == np.float64, f"array() returns {back.dtype}; expected float64")
            _require(back.shape == given.shape, f"{name}: shape {given.shape} comes back as {back.shape}")
            same = np.array_equal(back, given, equal_nan=True) and np.array_equal(np.signbit(back), np.signbit(given))
            _require(same, f"{name}: {given.ravel()[:3]} comes back as {back.ravel()[:3]}")
            _require(
                framework.format_of(made) == name, f"{name}: the format of its array is {framework.format_of(made)}"
            )
        made = framework.tensor(drawn, name)
        framework.array(made)[...] = 77.0
        _require(np.array_equal(framework.array(made), drawn), f"{name}: array() shares memory with its array")


def _layouts(framework: Framework, samples: Samples) -> None:
    rows = np.repeat(np.random.default_rng(1).standard_normal((1, 2, 3, 4)), 3, axis=0)  # equal rows
    for layout in framework.layouts:
        found = framework.array(framework.tensor(rows, _widest(framework), layout))
        _require(np.array_equal(found, rows), f"an array that lies {layout} has other values")


def _targets(framework: Framework, samples: Samples) -> None:
    own = [samples.layer_norm, *samples.faulty.values()]
    own += [one for one in (samples.batch_norm, samples.layer, samples.stateful_layer) if one is not None]
    for one in own:
        why = framework.accepts(one)
        _require(not why, f"a target of the framework is refused: {why}")
        _require(registry.candidates(one)[0] == framework.name, f"{one} is taken for {registry.candidates(one)[0]}")
    for one in samples.foreign:
        _require(bool(framework.accepts(one)), f"{one!r} is accepted; it is no implementation")


def _values(framework: Framework, samples: Samples) -> None:
    call = _call(framework, samples.layer_norm)
    for name in framework.formats:
        for affine in ("both", "weight", "none"):
            case = _case(framework, format=name, affine=affine, rank=3, seed=2)
            answer = call(case, False)
            _right(answer, evaluate(LAYER_NORM, case), f"{name}, parameters: {affine}", gradient=False)
            _require(answer.format == name, f"an output in {name} is said to be in {answer.format}")


def _gradients(framework: Framework, samples: Samples) -> None:
    call = _call(framework, samples.layer_norm)
    for name in framework.formats:
        for affine in ("both", "none"):
            case = _case(framework, format=name, affine=affine, seed=3)
            _right(call(case, True), evaluate(LAYER_NORM, case), f"{name}, parameters: {affine}", gradient=True)


def _independence(framework: Framework, samples: Samples) -> None:
    """A call does not change the result of the next one, nor the arrays of its case."""
    call = _call(framework, samples.layer_norm)
    first, other = _case(framework, seed=4), _case(framework, seed=5, eps=0.25)
    before = first.x.copy(), call(first, True).y
    _right(call(other, True), evaluate(LAYER_NORM, other), "the second call", gradient=True)
    _require(np.array_equal(call(first, True).y, before[1]), "an answer depends on the call before it")
    _require(np.array_equal(first.x, before[0]), "a call changes the arrays of its case")


def _failures(framework: Framework, samples: Samples) -> None:
    for target, word in ((samples.raises, "ValueError: no"), (samples.shapeless, "shape")):
        for attempt in functions.attempts(framework, target, LAYER_NORM, "my_target")[:1]:
            try:
                attempt.call(_case(framework), True)
            except CallError as error:
                _require("my_target" in str(error) and word in str(error), f"the sentence does not tell it: {error}")
                _require("\n" not in str(error), f"what went wrong is not one sentence: {error}")
            else:
                raise AssertionError("a target that fails is not refused with CallError")


def _statistics(framework: Framework, samples: Samples) -> None:
    for target in (samples.batch_norm, samples.stateful_layer):
        if target is None:
            continue
        call = _call(framework, target, BATCH_NORM)
        case = _case(framework, BATCH_NORM, seed=6)
        truth, answer = evaluate(BATCH_NORM, case), call(case, True)
        _right(answer, truth, "training", gradient=True)
        for name in ("running_mean", "running_var"):
            _close(getattr(answer, name), getattr(truth, name), 1e-3 * np.abs(getattr(truth, name)) + 1e-6, name)
        evaluation = case.but(training=False)
        _right(call(evaluation, False), evaluate(BATCH_NORM, evaluation), "evaluation", gradient=False)


def _uses(framework: Framework, samples: Samples) -> None:
    call = _call(framework, samples.layer_norm)
    plain = _case(framework, seed=7)
    direction = np.random.default_rng(7).standard_normal(plain.x.shape)
    plain = plain.but(tangent=plain.format.round(direction))
    truth = evaluate(LAYER_NORM, plain)
    for use in framework.uses:
        if use in (uses.OBSERVED, uses.COMPILED, uses.AUTOCAST, uses.WIDE):
            continue  # in other formats, with other rounding, or for information only
        gradient = use not in uses.WITHOUT_GRADIENT and use != uses.JVP
        found = call(plain.but(use=use), gradient)
        _right(found, truth, use, gradient=False)
        if gradient and uses.asks(use)[0]:
            _close(found.dx, truth.dx, _allowed(truth, bounds.backward), f"{use}: the gradient of the input")
        scale = 1e-6 if plain.format.u < 1e-9 else 1e-2
        if use in (uses.JVP, uses.SECOND):
            expected = tangent(truth)
            _close(found.jv, expected, scale * (1.0 + np.abs(expected)), f"{use}: the derivative along the tangent")
        if use == uses.SECOND:
            expected = second(LAYER_NORM, plain)
            _close(found.ddx, expected, scale * (1.0 + np.abs(expected)), f"{use}: the second derivative")


def _layers(framework: Framework, samples: Samples) -> None:
    own = framework.layers
    if own is None:
        _require(samples.layer is None, "there is a layer sample, and the framework offers no layers")
        return
    _require(samples.layer is not None, "the framework offers layers; give a sample of one")
    call = _call(framework, samples.layer)
    for format in framework.formats:
        case = _case(framework, format=format, seed=8)
        _right(call(case, True), evaluate(LAYER_NORM, case), f"a layer in {format}", gradient=True)
    build = layers.builder(own, samples.layer, LAYER_NORM, "sample")
    one = build(layers.sample_case(LAYER_NORM))
    parts = own.parts(one)
    _require(bool(parts.weight and parts.bias), "the weight and the bias of a layer are not found")
    _require(own.is_class(samples.layer) and not own.is_class(one), "classes and instances are not told apart")
    sizes = own.sizes(one)
    _require(sizes is None or sizes.units == 8, f"an instance for 8 units says that it has {sizes}")


def _lives(framework: Framework, samples: Samples) -> None:
    own = framework.layers
    if own is None or samples.stateful_layer is None:
        return
    build = layers.builder(own, samples.stateful_layer, BATCH_NORM, "sample")
    live = own.live(build, "sample")
    if live is None:
        return
    case = _case(framework, BATCH_NORM, seed=9)
    life = live(case)
    held = evaluate(BATCH_NORM, case)
    for _ in range(2):
        life.call(case, False)
        mean, var = held.running_mean, held.running_var
        assert mean is not None
        _close(life.state().mean, mean, 1e-3 * np.abs(mean) + 1e-6, "the running mean that a layer keeps")
        held = evaluate(BATCH_NORM, case.but(running_mean=mean, running_var=var))


def _faults(framework: Framework, samples: Samples) -> None:
    """Every faulty sample differs from the reference, and the correct sample does not."""
    _require(len(samples.faulty) >= LEAST_FAULTS, f"give at least {LEAST_FAULTS} faulty samples")
    for name, target in samples.faulty.items():
        _require(_differs(framework, target), f"{name}: the faulty sample answers as right code does")
    _require(not _differs(framework, samples.layer_norm), "the right sample is told from the reference")


def _differs(framework: Framework, target: Any) -> bool:
    call = _call(framework, target)
    for format in framework.formats:
        for seed, (n, eps, offset) in enumerate(((8, 1e-3, 1.0), (9, 0.5, 3.0), (129, 1e-5, 1.0), (64, 1e-5, 300.0))):
            case = _case(framework, format=format, n=n, eps=eps, offset=offset, seed=seed)
            truth = evaluate(LAYER_NORM, case)
            if format != _widest(framework) and FORMATS[format].narrow and offset > 3.0:
                continue
            forward, backward = LAYER_NORM.narrow_accuracy if FORMATS[format].narrow else ("sound", "sound")
            try:
                found = call(case, True)
                _close(found.y, truth.y, bounds.forward(truth, bounds.CLASSES[forward]).total, "")
                _close(found.dx, truth.dx, bounds.backward(truth, bounds.CLASSES[backward]).total, "")
                _right(found, truth, "", gradient=True)
                _require(found.format == format, "")
            except (AssertionError, CallError):
                return True
    return False


REQUIREMENTS = (
    Requirement("names", "name, formats, layouts and uses are known ones", _names),
    Requirement("arrays", "values keep through tensor() and array(), in every format, special ones too", _arrays),
    Requirement("layouts", "an array has the same values in every layout that is offered", _layouts),
    Requirement("targets", "targets of the framework are recognized and accepted, others refused", _targets),
    Requirement("values", "a right function is answered rightly in every format, with and without parameters", _values),
    Requirement("gradients", "so are its gradients", _gradients),
    Requirement("independence", "calls leave nothing behind", _independence),
    Requirement("failures", "whatever a target raises or returns wrongly is one sentence", _failures),
    Requirement("statistics", "running statistics come back updated, and evaluation uses them", _statistics),
    Requirement("uses", "every way of calling that is offered gives the plain answer", _uses),
    Requirement("layers", "layers are constructed, recognized and called with the parameters of a case", _layers),
    Requirement("lives", "a layer keeps its running statistics over several calls", _lives),
    Requirement("faults", "ten faulty functions are told from a right one", _faults),
)
"""All requirements, in the order in which a new framework is best implemented."""
