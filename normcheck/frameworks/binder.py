"""From a claim to a subject: load the target, find its framework, match its parameters, test what it accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract, contract
from normcheck.core.errors import CallError, UsageError
from normcheck.core.foreign_code import quiet
from normcheck.frameworks import functional_state, functions, layers, registry
from normcheck.frameworks.load import load
from normcheck.frameworks.probe import Attempt, discover
from normcheck.frameworks.protocol import Framework
from normcheck.normalizers import programs
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call, Domain, Life, Subject, Transformed


@dataclass(frozen=True, slots=True, eq=False)
class LoadedTarget:
    """A loaded target: the ways it can be called, and factories for layers that keep state over several calls.

    operations: for a layer, every operation of `normalizers.programs` with the reason why the layer does not support
    it, empty if it does.
    """

    attempts: Sequence[Attempt]
    transformed: Callable[[Case], Transformed] | None = None  # for a function that transforms modules
    operations: Callable[[], Mapping[str, str]] | None = None
    live: Callable[[Case], Life] | None = None


def subject(claim: Implementation, normalizer: Normalizer) -> Subject:
    """Bind an implementation.

    Raises `UsageError` if the target cannot be loaded, constructed or bound, and `CallError` if it fails on every
    ordinary input.
    """
    with quiet():
        return bound(hold(claim, normalizer), claim, normalizer)


def hold(claim: Implementation, normalizer: Normalizer) -> LoadedTarget:
    """Load a target, find its framework, and match its parameters, without calling it.

    Raises `UsageError` if the target cannot be loaded, constructed or bound.
    """
    target = load(claim.target) if isinstance(claim.target, str) else claim.target
    found: LoadedTarget | None = None
    refused = ""
    for name in registry.candidates(target):
        framework = registry.get(name)
        why = framework.accepts(target)
        if why:
            refused = refused or why
        elif found is None:
            found = _held(framework, target, normalizer, claim.name)
        else:  # a function that may belong to several frameworks
            more = functions.attempts(framework, target, normalizer, claim.name)
            found = replace(found, attempts=[*found.attempts, *more])
    if found is None:
        raise UsageError(f"{claim.name} is {refused}")
    return found


def _held(framework: Framework, target: Any, normalizer: Normalizer, name: str) -> LoadedTarget:
    """A target that a framework accepts, with the calls that the framework makes for it."""
    own = framework.layers
    if own is None or not own.is_layer(target):
        transforming = functions.transforming(framework, target, normalizer, name)
        live = None if transforming is None else transforming.live
        return LoadedTarget(functions.attempts(framework, target, normalizer, name), live)
    attempts = layers.attempts(framework, own, target, normalizer, name)
    build = layers.builder(own, target, normalizer, name)

    def operations() -> Mapping[str, str]:
        return own.operations(
            build(layers.sample_case(normalizer)),
            rebuilt=own.is_class(target),
            cumulative="case" in normalizer.sets.members,  # without that axis torch treats None as 0
        )

    living = own.live(build, name)
    return LoadedTarget(attempts, None, operations if living is not None else None, living)


def bound(held: LoadedTarget, claim: Implementation, normalizer: Normalizer) -> Subject:
    """The subject of a loaded target; its domain is found by calling it.

    Raises `CallError` if it fails on every ordinary input.
    """
    promised = contract(claim.contract)
    with registry.settings():
        call, domain = _first(held.attempts, normalizer, promised)
        found = Subject(claim.name, normalizer, promised, domain, call, transformed=held.transformed)
        if not domain.state:
            return found
        why = dict.fromkeys(programs.OF_FUNCTIONS, "") if held.operations is None else held.operations()
    operations = programs.offered((o for o in why if not why[o]), domain.formats, evaluation=domain.evaluation)
    absent = {**domain.absent, **{o: said for o, said in why.items() if said}}
    live = functional_state.of(call) if held.live is None else held.live
    return replace(found, domain=replace(domain, operations=operations, absent=absent), live=live)


def _first(attempts: Sequence[Attempt], normalizer: Normalizer, promised: Contract) -> tuple[Call, Domain]:
    """The first way of calling that succeeds, with its domain. Raises the first `CallError` if none does."""
    failure: CallError | None = None
    for attempt in attempts:
        try:
            return attempt.call, discover(normalizer, promised, attempt.call, attempt.offer)
        except CallError as error:
            failure = failure or error
    assert failure is not None
    raise failure
