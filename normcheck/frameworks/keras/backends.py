"""The backend that Keras runs on: which framework calls its functions, and which module calls its layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module

import keras

from normcheck.core.errors import CallError, UsageError
from normcheck.frameworks import registry
from normcheck.frameworks.keras.ready import Source
from normcheck.frameworks.protocol import Framework
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Call

KNOWN = ("tensorflow", "jax")


def refused() -> str:
    """Why code on this backend is not called, as the end of "TARGET is ..."; empty if it is."""
    name = keras.config.backend()
    if name in KNOWN:
        return ""
    known = " or ".join(KNOWN)
    return f"code of Keras on {name}, which is not called: set the environment variable KERAS_BACKEND to {known}"


def framework() -> Framework:
    """The framework of the backend's arrays. Raises `UsageError` for a backend on which code is not called."""
    if why := refused():
        raise UsageError(f"this is {why}")
    return registry.get(keras.config.backend())


def formats() -> tuple[str, ...]:
    """The formats in which Keras computes: on all backends but TensorFlow its operations take float64 for float32."""
    return tuple(one for one in framework().formats if keras.backend.result_type(one) == one)


@dataclass(frozen=True, slots=True, eq=False)
class CallInFormats:
    """A `Call` that refuses cases in a format in which Keras does not compute."""

    call: Call
    name: str

    def __call__(self, case: Case, gradient: bool) -> Answer:
        format = case.format.name
        if format not in formats():
            reason = f"Keras on {keras.config.backend()} computes {format} as {keras.backend.result_type(format)}"
            raise CallError(f"{self.name} is not called in {format}: {reason}", reason)
        return self.call(case, gradient)


def calling(source: Source) -> Call:
    """A call of layers on the backend."""
    made = import_module(f"{__package__}.on_{keras.config.backend()}").calling(source)
    return CallInFormats(made, source.name)


def trial(call: Call) -> Call:
    """The backend's cheaper call that raises for the same cases."""
    assert isinstance(call, CallInFormats)
    return replace(call, call=framework().trial(call.call))
