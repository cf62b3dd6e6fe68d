"""Ordinary calls and cases of a framework, and assertions that an answer agrees with the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import FORMATS, Array
from normcheck.frameworks import functions, layers
from normcheck.frameworks.protocol import Framework
from normcheck.normalizers import catalog
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth, evaluate
from normcheck.normalizers.sampling.recipes import Draw, state, values
from normcheck.normalizers.subject import Answer, Call

LAYER_NORM, BATCH_NORM = catalog.layer_norm, catalog.batch_norm


def require(holds: bool, text: str) -> None:
    """Raise `AssertionError` with a text unless `holds`."""
    if not holds:
        raise AssertionError(text)


def first_call(framework: Framework, target: Any, normalizer: Normalizer = LAYER_NORM) -> Call:
    """The first way of calling a target that works on an ordinary case. Raises `CallError` if none does."""
    framework_layers = framework.layers
    if framework_layers is not None and framework_layers.is_layer(target):
        attempts = layers.attempts(framework, framework_layers, target, normalizer, "sample")
    else:
        attempts = functions.attempts(framework, target, normalizer, "sample")
    failure: CallError | None = None
    for attempt in attempts:
        try:
            attempt.call(ordinary_case(framework, normalizer), False)
        except CallError as error:
            failure = failure or error
            continue
        return attempt.call
    raise failure or CallError("the sample cannot be called")


def differentiates(framework: Framework) -> bool:
    """Whether a framework has gradients."""
    return "gradient" not in framework.absent


def widest_format(framework: Framework) -> str:
    """The name of the widest format of a framework."""
    return next(name for name in FORMATS if name in framework.formats)


def ordinary_case(framework: Framework, normalizer: Normalizer = LAYER_NORM, **changes: Any) -> Case:
    """A case in the widest format of a framework, in training mode; changes: fields of its draw."""
    draw = replace(Draw(format=widest_format(framework), n=8, sets=5), **changes)
    return state(normalizer, draw, training=True) if normalizer.state else values(normalizer, draw)


def require_close(found: Array | None, expected: Array | None, allowed: Array, what: str) -> None:
    """Assert that an array is there, has the expected shape, and is within the bound in every entry."""
    require(found is not None, f"{what} is missing")
    assert found is not None
    assert expected is not None
    require(found.shape == expected.shape, f"{what} has shape {found.shape}; expected {expected.shape}")
    beyond = np.abs(found - expected) > np.broadcast_to(allowed, expected.shape)
    require(not beyond.any(), f"{what} is wrong in {int(beyond.sum())} of {beyond.size} entries")


def error_bound(truth: Truth, bound: Callable[[Truth, bounds.Accuracy], bounds.ErrorBound]) -> Array:
    """The error bound of the least accurate class: samples may be inaccurate, but must compute the same function."""
    out: Array = np.maximum.reduce([bound(truth, one).total for one in bounds.classes(truth.case.format)])
    return out


def require_agreement(answer: Answer, truth: Truth, what: str, *, gradient: bool) -> None:
    """Assert that an answer agrees with the reference."""
    require_close(answer.y, truth.y, error_bound(truth, bounds.forward), f"{what}: the output")
    if not gradient:
        return
    require_close(answer.dx, truth.dx, error_bound(truth, bounds.backward), f"{what}: the gradient of the input")
    for name, bias in (("dweight", False), ("dbias", True)):
        expected = getattr(truth, name)
        if expected is not None:
            allowed = error_bound(truth, partial(bounds.parameter, bias=bias))
            require_close(getattr(answer, name), expected, allowed, f"{what}: {name}")


def differs_from_layer_norm(framework: Framework, target: Any) -> bool:
    """Whether a function differs from layer norm in output, gradients or format on any of a few cases per format."""
    call = first_call(framework, target)
    for format in framework.formats:
        for seed, (n, eps, offset) in enumerate(((8, 1e-3, 1.0), (9, 0.5, 3.0), (129, 1e-5, 1.0), (64, 1e-5, 300.0))):
            case = ordinary_case(framework, format=format, n=n, eps=eps, offset=offset, seed=seed)
            truth = evaluate(LAYER_NORM, case)
            if format != widest_format(framework) and FORMATS[format].narrow and offset > 3.0:
                continue
            forward, backward = LAYER_NORM.narrow_accuracy if FORMATS[format].narrow else ("sound", "sound")
            try:
                found = call(case, True)
                require_close(found.y, truth.y, bounds.forward(truth, bounds.CLASSES[forward]).total, "")
                if differentiates(framework):
                    require_close(found.dx, truth.dx, bounds.backward(truth, bounds.CLASSES[backward]).total, "")
                    require_agreement(found, truth, "", gradient=True)
                require(found.format == format, "")
            except (AssertionError, CallError):
                return True
    return False
