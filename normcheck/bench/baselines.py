"""What an implementation is timed beside: torch's fused function of its kind, its eager composition, that compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from normcheck.bench.eager import Composed, composed
from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, UsageError, suggest
from normcheck.core.foreign_code import first_line, quiet
from normcheck.frameworks.binder import subject
from normcheck.frameworks.torch.layer import PreparedLayer
from normcheck.frameworks.torch.tensors import given
from normcheck.frameworks.torch.uses import make
from normcheck.normalizers import catalog
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Subject

FUSED, EAGER, COMPILED = "fused", "eager", "compiled"
NAMES = (FUSED, EAGER, COMPILED)
"""The first that a kind has is the one that is judged against."""

WORDS = {FUSED: "torch's fused function", EAGER: "torch's eager composition", COMPILED: "that composition, compiled"}

FUNCTIONS = {
    "batch_norm": "torch.nn.functional:batch_norm",
    "group_norm": "torch.nn.functional:group_norm",
    "instance_norm": "torch.nn.functional:instance_norm",
    "layer_norm": "torch.nn.functional:layer_norm",
    "rms_norm": "torch.nn.functional:rms_norm",
    "weight_norm": "torch:_weight_norm",
}
"""The function of torch that computes a kind in one call, where there is one."""

assert set(FUNCTIONS) <= set(catalog.ALL)


@dataclass(slots=True)
class _Latest:
    """The compiled composition of the latest shape: torch compiles one function for a few shapes only."""

    key: Any = None
    function: Composed | None = None

    def of(self, found: Subject, case: Case) -> Composed:
        key = (found.normalizer.name, case.x.shape, case.format.name, case.groups, case.normalized, case.dim, case.part)
        if self.function is None or key != self.key:
            torch.compiler.reset()
            self.key, self.function = key, torch.compile(composed(found.normalizer, case), dynamic=False)
        return self.function


def _layer(name: str, case: Case, forward: Composed) -> PreparedLayer:
    x, weight, bias = (given(a, case, n) for a, n in ((case.x, "x"), (case.weight, "weight"), (case.bias, "bias")))
    return PreparedLayer(name, (x, weight, bias), forward)


def _fused(found: Subject) -> Subject:
    kind = found.normalizer.name
    if kind not in FUNCTIONS:
        raise CallError(f"torch has no function of its own for {kind}", "torch has none")
    return subject(Implementation(kind, FUNCTIONS[kind]), catalog.ALL[kind])


def _composition(found: Subject, name: str, forward: Callable[[Case], Composed]) -> Subject:
    call = make(lambda case: _layer(WORDS[name], case, forward(case)))
    return replace(found, name=WORDS[name], call=call, live=None, transformed=None)


def _eager(found: Subject) -> Subject:
    return _composition(found, EAGER, lambda case: composed(found.normalizer, case))


def _compiled(found: Subject) -> Subject:
    latest = _Latest()
    return _composition(found, COMPILED, lambda case: latest.of(found, case))


_MAKE: Mapping[str, Callable[[Subject], Subject]] = {FUSED: _fused, EAGER: _eager, COMPILED: _compiled}


def checked(names: str) -> tuple[str, ...]:
    """Names of baselines from a word with commas. Raises `UsageError` for one that is none."""
    given_names = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in given_names:
        if name not in NAMES:
            raise UsageError(f"--norm-beside {names}: there is no baseline {name!r}; {suggest(name, NAMES)}")
    if not given_names:
        raise UsageError(f"--norm-beside names baselines: one or more of {', '.join(NAMES)}, with commas")
    return tuple(dict.fromkeys(given_names))


def beside(found: Subject, case: Case, names: tuple[str, ...]) -> tuple[dict[str, Subject], dict[str, str]]:
    """The baselines that work on a case, each called once, and why others do not."""
    there: dict[str, Subject] = {}
    absent: dict[str, str] = {}
    for name in names:
        try:
            with quiet():
                one = _MAKE[name](found)
                one.call(case, False)  # without gradients
            there[name] = one
        except CallError as error:
            absent[name] = error.reason
        except Exception as error:  # a compiler may lack what it needs
            absent[name] = first_line(error)
    return there, absent
