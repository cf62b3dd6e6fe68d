"""From a claim to a subject: load the target, find its framework, match its parameters, test what it accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from normcheck.core import uses
from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract, contract
from normcheck.core.errors import CallError, UsageError
from normcheck.core.foreign_code import quiet
from normcheck.core.target import adapted
from normcheck.frameworks import axis, functional_state, functions, layers, own_shapes, parameters_in_call, registry
from normcheck.frameworks.forms.around import started, surrounded
from normcheck.frameworks.forms.form import FormedClaim
from normcheck.frameworks.forms.plain import FormedTarget, formed_targets
from normcheck.frameworks.guard import binding
from normcheck.frameworks.load import loaded
from normcheck.frameworks.probe import Attempt
from normcheck.frameworks.protocol import Build, Framework, Layers
from normcheck.frameworks.translations import untranslated
from normcheck.normalizers import programs
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.batch_invariance import not_for
from normcheck.normalizers.composition import COMPOSITION, none_for, undefined
from normcheck.normalizers.forms import PLAIN, inexact, ways
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.recipes import Draw, state, values
from normcheck.normalizers.subject import Answer, Call, Composed, Constructed, Domain, Life, Subject, Transformed


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
    constructed: Callable[[Case], Constructed] | None = None  # for a class of layers
    unexplained: Callable[[Case], Mapping[str, str]] | None = None  # notes on what is in a layer and has no role
    composition: Callable[[Normalizer, Contract], Call | None] | None = None  # of its framework
    further: Mapping[str, Sequence[Attempt]] = field(default_factory=dict)  # attempts at the further calls of its form
    variants: Sequence[LoadedTarget] = ()  # of its form, whose attempts follow one another in `attempts`

    def variant(self, place: int) -> LoadedTarget:
        """The variant whose attempt stands at a place: the layers of another one get other values."""
        for one in self.variants:
            if place < len(one.attempts):
                return one
            place -= len(one.attempts)
        return self


@dataclass(frozen=True, slots=True, eq=False)
class FormedCall:
    """A `Call` of code of a form: the plain one, and further ones by the case's use."""

    plain: Call
    further: Mapping[str, Call]

    def __call__(self, case: Case, gradient: bool) -> Answer:
        call = self.further.get(case.use)
        return self.plain(case, gradient) if call is None else call(case.but(use=uses.PLAIN), gradient)


def subject(claim: Implementation, normalizer: Normalizer) -> Subject:
    """Bind an implementation.

    Raises `UsageError` if the target cannot be loaded, constructed or bound, and `CallError` if it fails on every
    ordinary input.
    """
    with quiet(), binding(claim.name):
        _frameworks(loaded(claim.target))  # imported now, so that their settings hold while the target is constructed
        with registry.settings():
            return subject_of(load_target(claim, normalizer), claim, normalizer)


def load_target(claim: Implementation, normalizer: Normalizer) -> LoadedTarget:
    """Load a target, find its framework, and match its parameters, without calling it.

    Raises `UsageError` if the target cannot be loaded, constructed or bound.
    """
    target = loaded(claim.target)
    found: LoadedTarget | None = None
    first_refusal = ""
    for framework in _frameworks(target):
        refusal = framework.accepts(target)
        if refusal:
            first_refusal = first_refusal or refusal
        elif found is None:
            found = _loaded_form(framework, target, normalizer, claim)
        elif contract(claim.contract).form == PLAIN:  # a function that may belong to several frameworks
            more = functions.attempts(framework, target, normalizer, claim.name)
            found = replace(found, attempts=[*found.attempts, *more])
    if found is None:
        raise UsageError(f"{claim.name} is {first_refusal}")
    return found


def _frameworks(target: Any) -> list[Framework]:
    """The frameworks to which a target can belong; the one of which it is a layer is the only one.

    A layer of Keras is, by its base classes, a module of its backend too, and the code of a layer may use another
    framework: that makes it no function of it.
    """
    found = [registry.get(name) for name in registry.candidates(target)]
    owners = [one for one in found if one.layers is not None and one.layers.is_layer(target)]
    return owners[:1] or found


def _loaded_form(framework: Framework, target: Any, normalizer: Normalizer, claim: Implementation) -> LoadedTarget:
    """A target in the form that is claimed, as the plain normalizer. No script can be written for it."""
    form = contract(claim.contract).form
    if form == PLAIN:
        return _loaded(framework, target, normalizer, claim.name)
    claimed = FormedClaim(normalizer, contract(claim.contract))
    variants: list[LoadedTarget] = []
    failure: UsageError | None = None
    for one in formed_targets(framework, target, form, normalizer, claim.name):
        try:
            variants.append(_loaded_variant(framework, one, claimed, claim.name))
        except UsageError as error:
            failure = failure or error
    if not variants:
        assert failure is not None
        raise failure
    attempts = [attempt for variant in variants for attempt in variant.attempts]
    further = {use: [attempt for variant in variants for attempt in variant.further[use]] for use in ways(form)}
    return LoadedTarget(attempts, further=further, variants=variants)


def _loaded_variant(framework: Framework, target: FormedTarget, claim: FormedClaim, name: str) -> LoadedTarget:
    """One of the variants in which code may take what its form adds. Raises `UsageError` if it cannot be bound so."""
    found = _loaded(framework, target.plain, claim.normalizer, name)
    made = surrounded(found.attempts, target.around[PLAIN], claim)
    attempts = [replace(attempt, offer=replace(attempt.offer, spell=None)) for attempt in made]
    further = {
        use: surrounded(
            _loaded(framework, other, claim.normalizer, name).attempts, target.around[use], replace(claim, use=use)
        )
        for use, other in target.further.items()
    }
    live = None if found.live is None else started(found.live, target.around[PLAIN], claim)
    return replace(found, attempts=attempts, further=further, live=live)


def _loaded(framework: Framework, target: Any, normalizer: Normalizer, name: str) -> LoadedTarget:
    """A target that a framework accepts, with the calls that the framework makes for it."""
    framework_layers = framework.layers
    if framework_layers is not None and framework_layers.is_layer(target):
        if normalizer.acts_on == "weight":
            target = framework_layers.of_weight(target) or target
        else:
            target = parameters_in_call.as_function(framework_layers, target, normalizer, name) or target
    if framework_layers is None or not framework_layers.is_layer(target):
        transforming = functions.transforming(framework, target, normalizer, name)
        live = None if transforming is None else transforming.live
        attempts = functions.attempts(framework, target, normalizer, name)
        return LoadedTarget(attempts, live, composition=framework.composition)
    attempts = layers.attempts(framework, framework_layers, target, normalizer, name)
    build = layers.builder(framework_layers, target, normalizer, name)

    start = framework_layers.live(build, name)

    def operations() -> Mapping[str, str]:
        reasons = framework_layers.operations(
            layers.sample(build, normalizer),
            rebuilt=framework_layers.is_class(target),
            cumulative="case" in normalizer.sets.members,  # without that axis torch treats None as 0
        )
        return reasons if start is not None else {one: reasons.get(one, "") for one in programs.OF_FUNCTIONS}

    unexplained = lambda case: framework_layers.unexplained(build(case), case, name)
    constructed = _constructed(framework_layers, build) if framework_layers.is_class(target) else None
    return LoadedTarget(attempts, None, operations, start, constructed, unexplained, framework.composition)


def _constructed(framework_layers: Layers, build: Build) -> Callable[[Case], Constructed]:
    return lambda case: framework_layers.constructed(build(case), case)


def subject_of(loaded: LoadedTarget, claim: Implementation, normalizer: Normalizer) -> Subject:
    """The subject of a loaded target; its domain is found by calling it.

    Raises `UsageError` for a demand that has no meaning for the normalizer, `CallError` if it fails on every ordinary
    input.
    """
    conventions = contract(claim.contract)
    if conventions.batch_invariant != "any" and not normalizer.independent:
        raise UsageError(f"{claim.name}: {not_for(normalizer.name, conventions.batch_invariant)}")
    with registry.settings():
        try:
            left_out = inexact(conventions.form)
            tried = replace(conventions, formats=tuple(one for one in conventions.served if one not in left_out))
            place, call, domain = _first_working(loaded.attempts, normalizer, tried if left_out else conventions)
            further = {use: some[place].call for use, some in loaded.further.items()}
            loaded = loaded.variant(place)
        except UsageError as error:
            raise UsageError(f"{claim.name} {error}: {adapted(claim.name)}") from None
        unchecked = {f"form={conventions.form}": f"not checked in {one}: {why}" for one, why in left_out.items()}
        domain = replace(domain, notes={**domain.notes, **unchecked, **_changes(loaded, normalizer, call, domain)})
        reason = untranslated(conventions.translated, domain.uses)
        if reason:
            raise UsageError(f"{claim.name}: {reason}")
        if domain.eps_place:
            conventions = replace(conventions, eps_place=domain.eps_place)
        moved = isinstance(call, axis.MovedCall)
        call, domain = _in_form(call, domain, further, normalizer)
        composed = _composed(loaded, normalizer, conventions, moved=moved)
        if isinstance(composed, str):
            raise UsageError(f"{claim.name}: exact-to={COMPOSITION}: {composed}")
        constructed = loaded.constructed
        if constructed is not None and moved:
            constructed = lambda case, made=constructed: made(axis.moved_case(case))
        found = Subject(
            claim.name,
            normalizer,
            conventions,
            domain,
            call,
            transformed=loaded.transformed,
            constructed=constructed,
            composed=composed,
        )
        domain = own_shapes.declared(found, moved=moved)
        found = replace(found, domain=domain)
        if not domain.state:
            return found
        reasons = dict.fromkeys(programs.OF_FUNCTIONS, "") if loaded.operations is None else dict(loaded.operations())
        if loaded.live is not None:
            reasons |= _refused_momenta(loaded.live, normalizer, domain, reasons)
    operations = programs.offered((o for o in reasons if not reasons[o]), domain.formats, evaluation=domain.evaluation)
    absent = {**domain.absent, **{o: reason for o, reason in reasons.items() if reason}}
    live = functional_state.factory(call) if loaded.live is None else loaded.live
    return replace(found, domain=replace(domain, operations=operations, absent=absent), live=live)


def _in_form(call: Call, domain: Domain, further: Mapping[str, Call], normalizer: Normalizer) -> tuple[Call, Domain]:
    """The call with the further ways to call code of a form, as far as they can be called."""
    if not further:
        return call, domain
    made = FormedCall(
        call,
        {use: axis.MovedCall(one) for use, one in further.items()} if isinstance(call, axis.MovedCall) else further,
    )
    draw = Draw(n=8, sets=6, rank=domain.ranks[0], format=domain.formats[0], affine=domain.affine[0])
    case = values(normalizer, fit(normalizer, draw, domain.sizes))
    absent = {}
    for use in further:
        try:
            made(case.but(use=use), False)
        except CallError as error:
            absent[use] = error.reason
    offered = tuple(use for use in further if use not in absent)
    return made, replace(domain, uses=(*domain.uses, *offered), absent={**domain.absent, **absent})


def _composed(loaded: LoadedTarget, normalizer: Normalizer, conventions: Contract, *, moved: bool) -> Composed | str:
    """The composition by contract; None if its bits are not demanded. A text tells why they cannot be demanded."""
    composition = loaded.composition
    if conventions.exact_to != COMPOSITION:
        return None
    reason = undefined(normalizer, conventions) or (none_for("axis=1") if moved else "")
    if reason or composition is None or composition(normalizer, conventions) is None:
        return reason or "its framework has no composition of basic operators"
    return lambda contract: composition(normalizer, contract)


def _refused_momenta(
    live: Callable[[Case], Life], normalizer: Normalizer, domain: Domain, reasons: Mapping[str, str]
) -> Mapping[str, str]:
    """The settings of momentum that no number expresses and on which a layer raises, with the reason."""
    draw = Draw(n=8, sets=6, rank=domain.ranks[0], format=domain.formats[0], affine=domain.affine[0])
    case = state(normalizer, fit(normalizer, draw, domain.sizes), training=True)
    out = {}
    for operation, value in programs.MOMENTA.items():
        if value is None and operation in reasons and not reasons[operation]:
            try:
                life = live(case)
                life.do(operation)
                life.call(case, False)
            except CallError as error:
                out[operation] = error.reason
    return out


def _changes(loaded: LoadedTarget, normalizer: Normalizer, call: Call, domain: Domain) -> Mapping[str, str]:
    """Notes that name what a training batch changes in a layer, and its parameters, that belong to no role."""
    if loaded.unexplained is None:
        return {}
    draw = Draw(rank=domain.ranks[0], format=domain.formats[0], affine=domain.affine[0])
    draw = fit(normalizer, draw, domain.sizes)
    case = state(normalizer, draw, training=True) if domain.state else values(normalizer, draw)
    return loaded.unexplained(axis.moved_case(case) if isinstance(call, axis.MovedCall) else case)


def _first_working(
    attempts: Sequence[Attempt], normalizer: Normalizer, conventions: Contract
) -> tuple[int, Call, Domain]:
    """The first way of calling that succeeds, its place, and its domain. Raises the first `CallError` if none does."""
    failure: CallError | None = None
    for place, attempt in enumerate(attempts):
        try:
            return place, *axis.bound(normalizer, conventions, attempt)
        except CallError as error:
            failure = failure or error
    assert failure is not None
    raise failure
