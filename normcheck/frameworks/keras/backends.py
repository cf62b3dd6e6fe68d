"""The backend that Keras runs on: which framework calls its functions, and which module calls its layers."""

from __future__ import annotations

from importlib import import_module

import keras

from normcheck.core.errors import UsageError
from normcheck.frameworks import registry
from normcheck.frameworks.keras.ready import Source
from normcheck.frameworks.protocol import Framework
from normcheck.normalizers.subject import Call

KNOWN = ("tensorflow", "jax")


def refused() -> str:
    """Why code on this backend is not called, as the end of "TARGET is ..."; empty if it is."""
    name = keras.config.backend()
    if name in KNOWN:
        return ""
    known = " or ".join(KNOWN)
    return f"code of Keras on {name}, which is not called: set the environment variable KERAS_BACKEND to {known}"


def framework() -> Framework:
    """The framework of the backend's arrays."""
    name = keras.config.backend()
    if name not in KNOWN:
        raise UsageError(f"code of Keras on {name} is not called")
    return registry.get(name)


def calling(source: Source) -> Call:
    """A call of layers on the backend."""
    found: Call = import_module(f"{__package__}.on_{keras.config.backend()}").calling(source)
    return found
