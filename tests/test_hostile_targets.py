"""Targets that raise odd exceptions while they are bound or called: one sentence each, never an internal error."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, NormcheckError, UsageError
from normcheck.core.limits import Limits
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.engine.verdict import document
from normcheck.families import bind as subject
from normcheck.families import get
from normcheck.frameworks.isolation.remote import Remote
from normcheck.identify.identify import identify


class Stop(BaseException):
    """Neither an Exception nor SystemExit."""


class Mute(Exception):
    """Its text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


EXCEPTIONS = (
    KeyError("weight"), AssertionError(), StopIteration(), RecursionError("deep"), MemoryError(), SystemExit(3),
    Stop("b"),
    Mute(), ExceptionGroup("several", [ValueError("a")]), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
    torch.OutOfMemoryError("none left"), ImportError("no kernel"), NotImplementedError(), TypeError("x\ny"),
)  # fmt: skip


def sentence(target: Any, kind: str = "layer_norm") -> tuple[type[NormcheckError], str]:
    """The kind of error and its one sentence."""
    with pytest.raises((UsageError, CallError)) as raised:
        subject(Implementation(kind, target))
    said = str(raised.value)

    assert said
    assert "\n" not in said
    return type(raised.value), said


class Base(torch.nn.Module):
    """A layer norm; subclasses raise `error` somewhere."""

    error: BaseException = ValueError("x")

    def __init__(self, normalized_shape: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(normalized_shape))
        self.bias = torch.nn.Parameter(torch.zeros(normalized_shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias)


class InConstructor(Base):
    def __init__(self, normalized_shape: int) -> None:
        raise self.error


class InForward(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise self.error


class InConversion(Base):
    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        raise self.error


class InTrain(Base):
    def train(self, mode: bool = True) -> Any:
        raise self.error


class InParameters(Base):
    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        raise self.error


class InCopy(Base):
    def __deepcopy__(self, memo: Any) -> Any:
        raise self.error


class InModules(Base):
    def modules(self) -> Any:
        raise self.error


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("place", [InConstructor, InForward, InConversion, InTrain, InParameters])
def test_whatever_a_layer_raises(place: Any, error: BaseException) -> None:
    """In the constructor it is an error of use, in a call one of the call; the type is named."""
    target = type(place.__name__, (place,), {"error": error})
    _, said = sentence(target)

    assert type(error).__name__ in said


@pytest.mark.parametrize("error", [KeyError("a"), SystemExit(2), Stop()], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("place", [InCopy, InForward, InTrain, InParameters, InModules])
def test_whatever_an_instance_raises(place: Any, error: BaseException) -> None:
    target = type(place.__name__, (place,), {"error": error})(8)

    assert type(error).__name__ in sentence(target)[1]


def raising(error: BaseException) -> Any:
    def norm(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        raise error

    return norm


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda one: type(one).__name__)
def test_whatever_a_function_raises(error: BaseException) -> None:
    assert sentence(raising(error))[0] is CallError


def test_an_interrupt_ends_the_run() -> None:
    """The user's own Ctrl-C is no exception of the code under test."""
    with pytest.raises(KeyboardInterrupt):
        subject(Implementation("layer_norm", raising(KeyboardInterrupt())))


class NoSignature:
    """Callable, but its signature cannot be computed."""

    @property
    def __signature__(self) -> Any:
        raise ValueError("no signature")

    def __call__(self, x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        return F.layer_norm(x, normalized_shape, weight, bias, eps)


class RaisingAttributes:
    """Every unknown attribute raises, and so does its representation."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __call__(self, x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        return F.layer_norm(x, normalized_shape, weight, bias, eps)


@pytest.mark.parametrize("target", [NoSignature(), RaisingAttributes()], ids=["signature", "attributes"])
def test_what_raises_beside_the_call_is_bound(target: Any) -> None:
    """A callable that works is checked, whatever its attributes do."""
    assert subject(Implementation("layer_norm", target)).domain.formats


class RaisingProperties(Base):
    @property
    def eps(self) -> float:
        raise KeyError("eps")

    @property
    def num_features(self) -> int:
        raise Stop

    def __repr__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("target", [RaisingProperties, RaisingProperties(8)], ids=["class", "instance"])
def test_properties_that_raise(target: Any) -> None:
    """They are taken for attributes that are not there."""
    assert subject(Implementation("layer_norm", target)).domain.affine[0] == "both"


class Sometimes(Base):
    """Can be constructed for 8 units only."""

    def __init__(self, normalized_shape: int) -> None:
        if normalized_shape not in (6, 8):
            raise KeyError(normalized_shape)
        super().__init__(normalized_shape)


def test_sizes_that_cannot_be_constructed() -> None:
    """They are refused sizes, which are listed."""
    found = subject(Implementation("layer_norm", Sometimes))

    assert {1, 7, 64} <= found.domain.refused
    assert 8 not in found.domain.refused
    assert any(what.startswith("sets of") for what in found.absent)


@pytest.mark.parametrize("code", [
    "raise Stop", "import sys; sys.exit('bye')", "raise KeyboardInterrupt.__mro__[2]('x')", "assert 0", "f(",
])  # fmt: skip
def test_files_that_raise_when_imported(tmp_path: Any, code: str) -> None:
    place = tmp_path / "mine.py"
    place.write_text(f"class Stop(BaseException): pass\n{code}\n")

    assert sentence(f"{place}:f")[0] is UsageError


def test_a_module_attribute_that_raises(tmp_path: Any) -> None:
    """A module may compute its attributes."""
    place = tmp_path / "mine.py"
    place.write_text("def __getattr__(name):\n    raise RuntimeError('not now')\n")

    assert sentence(f"{place}:f")[1] == f"{place}:f: reading 'f' raised RuntimeError: not now"


@pytest.mark.parametrize("kind", ["batch_norm", "weight_norm", "recurrent_batch_norm", "zca_whitening", "path_sgd"])
@pytest.mark.parametrize(
    "place", [InConstructor, InForward, RaisingAttributes()], ids=["constructor", "forward", "object"]
)
def test_as_every_kind_of_target(kind: str, place: Any) -> None:
    """Each family answers in one sentence too."""
    target = type("Target", (place,), {"error": Stop("x")}) if isinstance(place, type) else place
    with pytest.raises((UsageError, CallError)):
        subject(Implementation(kind, target))


def test_a_run_over_hostile_targets() -> None:
    """A whole run: every claim is an error with one sentence, and none ends the run."""
    targets = [type("Target", (place,), {"error": Stop("x")}) for place in (InConstructor, InForward, InTrain)]
    targets += [raising(Stop("y"))]
    run = document(list(events(claims([("layer_norm", one) for one in targets], {}), Settings("quick"))), {})

    assert {one["verdict"] for one in run["implementations"]} == {"error"}
    assert all(len(one["errors"]) == 1 for one in run["implementations"])


@pytest.mark.parametrize("target", [raising(Stop("y")), raising(KeyError("y")), InConstructor, sys.exit])
def test_identify(target: Any) -> None:
    with pytest.raises((UsageError, CallError)):
        identify(target)


def test_isolated(tmp_path: Any) -> None:
    """In a process of its own, too."""
    place = tmp_path / "mine.py"
    place.write_text("class Stop(BaseException): pass\ndef f(x, weight=None, bias=None):\n    raise Stop('x')\n")
    remote = Remote(Implementation("layer_norm", f"{place}:f"), get("layer_norm"), Limits())
    try:
        with pytest.raises(CallError, match="raised Stop: x"):
            remote.subject()
    finally:
        remote.close()
