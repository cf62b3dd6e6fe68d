"""From what a user writes to claims: words, pairs and `Implementation` values, with the declared conventions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from normcheck import families
from normcheck.core.claim import Implementation, parse, split_kind
from normcheck.core.contract import Contract, contract
from normcheck.core.errors import CallError, UsageError
from normcheck.core.safe_text import safe


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """One implementation to check, or the reason why it cannot be checked. Equal to itself only."""

    kind: str
    name: str
    implementation: Implementation | None
    error: str = ""
    identified: str = ""  # the kind and conventions that its behavior shows, where no kind was named


def conventions(words: Iterable[str]) -> dict[str, str]:
    """Conventions from words KEY=VALUE.

    Raises `UsageError` for a word of another form and for an unknown key or value, with the nearest known one.
    """
    out = {}
    for pair in words:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"contract {pair!r} is not KEY=VALUE, as in eps-place=outside")
        out[key.strip()] = value.strip()
    contract(out)
    return out


def conventions_of(declared: Mapping[str, Any] | None) -> dict[str, str]:
    """Conventions from a mapping, as Python code gives them. Raises `UsageError` as `conventions` does."""
    out = {str(key): str(value) for key, value in (declared or {}).items()}
    contract(out)
    return out


def claims(given: Iterable[Any], declared: Mapping[str, str]) -> tuple[Claim, ...]:
    """A claim for each word, pair (kind, target) or `Implementation`; of equal ones the last.

    declared: conventions that hold for all of them. A word or target that is wrong becomes a claim with an error.
    """
    made = (claim(one, declared) for one in given)
    return tuple({(one.kind, one.name): one for one in made}.values())


def kind_of(as_: Any) -> str:
    """The name of a kind: a name as it is, a normalizer of the project after it is added to the catalog.

    Raises `UsageError` for a value that is neither.
    """
    return as_ if isinstance(as_, str) else families.add(as_)


def claim(given: Any, declared: Mapping[str, str]) -> Claim:
    """The claim of a word "KIND=TARGET" or "TARGET", of a pair (kind, target), or of an `Implementation`."""
    if isinstance(given, str):
        return _of_word(given, declared)
    return _checked(given if isinstance(given, Implementation) else Implementation(*given), declared)


def _of_word(word: str, declared: Mapping[str, str]) -> Claim:
    kind, target = split_kind(word)
    if not kind and not word.startswith("="):
        return identified(target, declared)
    try:
        return _checked(parse(word), declared)
    except UsageError as error:
        return Claim(safe(kind), safe(target or word), None, str(error))


def identified(target: Any, declared: Mapping[str, str]) -> Claim:
    """The claim of a target without a kind: the kind and conventions that its behavior shows."""
    name = Implementation("", target).name
    try:
        made = _identify(target, name)
    except (UsageError, CallError) as error:
        return Claim("", name, None, str(error))
    words = (made.kind, *(f"{key}={value}" for key, value in made.contract.items()))
    return replace(_checked(made, declared), identified=" ".join(words))


def _identify(target: Any, name: str) -> Implementation:
    if isinstance(target, str):
        parse(f"kind={target}")  # raises for a text that names no target
    found = families.identify(target)
    if not found.kind:
        near = found.nearest[0][0] if found.nearest else ""
        nearest = f"; nearest is {near}" if near else ""
        raise UsageError(
            f"{name} behaves as no kind that is known{nearest}: name the one that it is meant to be, as in "
            f"--norm {near or found.bound_as}={name}"
        )
    return Implementation(found.kind, target, found.contract)


def _checked(made: Implementation, declared: Mapping[str, str]) -> Claim:
    """The claim under its own and the declared conventions, if its kind and all conventions are known."""
    try:
        families.get(made.kind)
        complete = replace(made, contract={**made.contract, **declared})
        demanded = contract(complete.contract)
        _raise_unless_asked(made.kind, demanded.translated)
        _raise_unless_shaped(made.kind, demanded)
    except UsageError as error:
        return Claim(safe(str(made.kind)), made.name, None, str(error))
    return Claim(made.kind, made.name, complete)


def _raise_unless_shaped(kind: str, demanded: Contract) -> None:
    """Raise `UsageError` for input shapes of a kind whose cases have none."""
    if demanded.input_shapes and not families.of(families.get(kind)).given_shapes:
        raise UsageError(f"input-shapes: {kind} is checked on inputs of the suite alone: leave its input shapes out")


def _raise_unless_asked(kind: str, programs: Iterable[str]) -> None:
    """Raise `UsageError` for a program that is demanded of a kind and that no check asks of it."""
    entry = families.get(kind)
    asked = {check.translation for check in families.of(entry).checks if check.concerns(entry)}
    for name in programs:
        if name not in asked:
            raise UsageError(f"translated={name}: programs made of a {kind} are not checked yet")
