"""Wrappers of a few lines for targets that cannot be called as they are: options, further inputs, packed outputs.

A wrapper is written from signatures and source. What they leave open is tried: of the possible values the first is
taken with which the wrapper can be bound and agrees with the normalizer; what no value settles is marked `FILL IN`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from itertools import product
from typing import Any

import numpy as np

from normcheck.core.claim import Implementation
from normcheck.core.errors import NormcheckError, UsageError
from normcheck.core.foreign_code import ENDS, quiet
from normcheck.core.target import target_of
from normcheck.frameworks import binder, registry
from normcheck.frameworks.adapter_source import CALL, MOVED, NEUTRAL, Sketch, of_function, of_layer
from normcheck.frameworks.fixed import fixed
from normcheck.frameworks.load import load
from normcheck.frameworks.roles import plain
from normcheck.normalizers.case import Case
from normcheck.normalizers.catalog import ALL
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.recipes import Draw, small, state
from normcheck.normalizers.subject import Subject

KINDS = tuple(kind for kind, normalizer in ALL.items() if normalizer.acts_on == "activation")
"""The kinds for which wrappers are written."""

FIRST: tuple[tuple[tuple[str, ...], str], ...] = (
    (("mask", "valid", "pad"), "all positions"),
    (("gate", "z", "weight", "gain", "multipl"), "ones"),
    (("emb", "cond", "context", "style", "time", "latent"), "zeros of a case"),
)
"""Parts of the names of further inputs, with the value that is tried first; for other names it is zeros."""

AGREES = 0.02
"""Median distance from the reference, of outputs of unit size, up to which a wrapper computes the normalizer."""

PICKS = (CALL, f"{CALL}[0]", f"{CALL}[1]", f"{CALL}[2]", f"next(iter({CALL}.values()))")
"""What is taken of a return value: all of it, or one of several."""

MAPS = (f"{MOVED}.transpose(1, -1)",)
"""The same for layers that take their units in the last axis, where the kind has them in axis 1."""

LIKE = 0.7
"""Least likeness of two names that tells a kind."""

MOST_TRIED = 40
"""Combinations of values that are tried at most."""


def wrapper(target: str, kinds: Iterable[str]) -> str:
    """A wrapper of a target, as text, for the first of the kinds as which it agrees with the normalizer.

    Raises `UsageError` if the target cannot be loaded, or is neither a module nor a function.
    """
    with quiet():
        loaded = load(target)
        best: tuple[float, str] | None = None  # of the likeliest kind, unless another one agrees
        for kind, named in _likely(target, loaded, kinds):
            distance, text = _for_kind(target, loaded, ALL[kind])
            if best is None or distance < AGREES or (distance < float("inf") and best[0] == float("inf")):
                best = distance, text
            if distance < AGREES or (named and distance < float("inf")):
                break
    if best is None:
        raise UsageError("no kind of normalizer was named")
    return best[1]


def _likely(target: str, loaded: Any, kinds: Iterable[str]) -> list[tuple[str, bool]]:
    """The kinds, those first that the name of the target or of a base class is like, and whether it is like theirs."""
    inner = fixed(loaded).inner
    classes = inner.__mro__ if inspect.isclass(inner) else type(inner).__mro__
    names = [target_of(target).attribute, *(one.__name__ for one in classes)]
    bare = lambda name: name.lower().replace("_", "").removesuffix("1d").removesuffix("2d")

    def unlike(kind: str) -> float:
        alike = max(SequenceMatcher(None, bare(name), bare(kind)).ratio() for name in names)
        return 1.0 - alike if alike > LIKE else 1.0

    ordered = sorted(kinds, key=lambda kind: (unlike(kind), ALL[kind].sets.layout != "trailing"))
    return [(kind, unlike(kind) < 1.0) for kind in ordered]


def _for_kind(target: str, loaded: Any, normalizer: Normalizer) -> tuple[float, str]:
    """Distance from the reference, infinite if it cannot be bound, and text of the wrapper for one kind."""
    direct = _distance(target, normalizer)
    if direct < AGREES:
        return direct, f"# {target} needs no wrapper: --norm {normalizer.name}={target}"
    framework = registry.get(registry.candidates(loaded)[0])
    is_layer = framework.layers is not None and framework.layers.is_layer(loaded)
    if not is_layer and not callable(loaded):
        raise UsageError(f"{target} is neither a module nor a function, so there is nothing to wrap")
    sketch = of_layer(target, loaded, normalizer) if is_layer else of_function(target, loaded, normalizer)
    choices = [dict(zip(sketch.more, one, strict=True)) for one in product(*map(_values, sketch.more))]
    best = float("inf"), choices[0], CALL
    for values in choices[:MOST_TRIED] if not sketch.unknown else ():
        for pick in (*PICKS, *(MAPS if normalizer.sets.layout == "channels" else ())):
            distance = _distance(_made(sketch, values, pick), normalizer)
            best = (distance, values, pick) if distance < best[0] else best
            if distance < AGREES or (pick == CALL and distance < float("inf")):
                break  # nothing is taken out of an output
        if best[0] < AGREES:
            break
    distance, values, pick = best
    return distance, sketch.text(values, pick, sure=distance < AGREES)


def _values(name: str) -> list[str]:
    """The values to try for a further input, the likeliest first."""
    first = next((value for parts, value in FIRST if any(part in plain(name) for part in parts)), "zeros")
    return [first, *(value for value in NEUTRAL if value != first)]


def _made(sketch: Sketch, values: Mapping[str, str], pick: str) -> Any:
    """The object that the source defines; None if it raises an exception."""
    namespace: dict[str, Any] = {"__name__": "normcheck_adapted"}
    try:
        exec(sketch.text(values, pick, sure=True), namespace)  # noqa: S102  # its own text, with the target's names
        return namespace[sketch.adapted]
    except ENDS:
        raise
    except BaseException:
        return None


def _distance(target: Any, normalizer: Normalizer) -> float:
    """The median distance of a target's output from the reference; infinite if it cannot be bound."""
    try:
        found = binder.subject(Implementation(normalizer.name, target), normalizer)
        with registry.settings():
            return _from_reference(found)
    except (NormcheckError, ValueError):
        return float("inf")


def _from_reference(found: Subject) -> float:
    domain, normalizer = found.domain, found.normalizer
    draw = Draw(rank=domain.ranks[0], format=domain.formats[0], affine=domain.affine[0])
    draw = fit(normalizer, draw, domain.sizes)
    case: Case = small(normalizer, draw) if domain.training else state(normalizer, draw, training=False)
    case = case if domain.eps is None else case.but(eps=domain.eps)
    return float(np.median(np.abs(found.call(case, False).y - evaluate(normalizer, case, found.contract).y)))
