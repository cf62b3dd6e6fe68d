"""From a claim to a subject: load the target, see what it is, match its parameters, try what it accepts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch

from normcheck.core import uses
from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract, contract
from normcheck.core.errors import CallError, UsageError
from normcheck.core.foreign_code import quiet
from normcheck.frameworks import call_source, functional_state, numpy_pair
from normcheck.frameworks.load import load
from normcheck.frameworks.probe import Offer, discover, offered_affine
from normcheck.frameworks.roles import NAMES, Binding, Parameter, bind, from_signature, plain
from normcheck.frameworks.torch import function as torch_function
from normcheck.frameworks.torch import life, module, transform
from normcheck.normalizers import programs
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, Sizes, state, values
from normcheck.normalizers.subject import Call, Domain, Life, Subject, Transformed

SHAPES = ("normalized_shape", "shape", "normalized_dims", "normalized_size")
"""Names of a parameter that says several axes; under other names (hidden_size, dim) it is one width."""


Attempt = tuple[Call, Offer]
"""A way to call a target, with what it offers called so."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedTarget:
    """A target in the process that runs it: ways to call it, and its lives over several calls."""

    attempts: Sequence[Attempt]
    transformed: Callable[[Case], Transformed] | None  # where the target transforms modules
    operations: Callable[[], Mapping[str, str]] | None  # of a module: every operation to why it cannot be asked
    live: Callable[[Case], Life] | None  # of a module


def subject(claim: Implementation, normalizer: Normalizer) -> Subject:
    """Bind an implementation.

    Raises `UsageError` where the target cannot be loaded, constructed or bound, `CallError` where it fails on every
    ordinary input.
    """
    with quiet():
        return bound(hold(claim, normalizer), claim, normalizer)


def hold(claim: Implementation, normalizer: Normalizer) -> LoadedTarget:
    """Load a target, see what it is, and match its parameters; it is not called yet. Raises `UsageError`."""
    name = claim.name
    target = load(claim.target) if isinstance(claim.target, str) else claim.target
    attempts = _attempts(target, normalizer, name)
    if not module.is_module(target):
        return LoadedTarget(attempts, _transformed(target, normalizer, name), None, None)
    build = _builder(target, normalizer, name)

    def operations() -> Mapping[str, str]:
        return life.offered(
            build(_sample(normalizer)),
            rebuilt=not isinstance(target, torch.nn.Module),
            cumulative="case" in normalizer.sets.members,  # elsewhere torch takes None for 0
        )

    return LoadedTarget(attempts, None, operations, life.of(build, name))


def bound(held: LoadedTarget, claim: Implementation, normalizer: Normalizer) -> Subject:
    """What a held target answers, found by calling it. Raises `CallError` where it fails on every ordinary input."""
    promised = contract(claim.contract)
    call, domain = _first(held.attempts, normalizer, promised)
    found = Subject(claim.name, normalizer, promised, domain, call, transformed=held.transformed)
    if not domain.state:
        return found
    why = dict.fromkeys(programs.OF_FUNCTIONS, "") if held.operations is None else held.operations()
    operations = programs.offered((o for o in why if not why[o]), domain.formats, evaluation=domain.evaluation)
    absent = {**domain.absent, **{o: said for o, said in why.items() if said}}
    live = functional_state.of(call) if held.live is None else held.live
    return replace(found, domain=replace(domain, operations=operations, absent=absent), live=live)


def _transformed(target: Any, normalizer: Normalizer, name: str) -> Callable[[Case], Transformed] | None:
    """The life of a transformed module, where the target transforms modules."""
    if _pair(target) is not None:
        return None
    function, parameters = torch_function.callable_and_parameters(target, normalizer)
    if not _transforms(parameters, normalizer):
        return None
    return transform.of(function, bind(parameters, transform.ROLES, normalizer, name), name)


def _transforms(parameters: list[Parameter], normalizer: Normalizer) -> bool:
    """Whether a function takes a module and gives it back with another weight."""
    return normalizer.acts_on == "weight" and bool(parameters) and plain(parameters[0].name) in NAMES["module"]


def _builder(target: Any, normalizer: Normalizer, name: str) -> Callable[[Case], torch.nn.Module]:
    """Builds the module of a case; a class is told sizes by the first form that it takes."""
    if isinstance(target, torch.nn.Module):
        return module.fixed(target)[0]
    binding = module.constructor(target, normalizer, name)
    return module.factory(target, binding, name, shape_as=int)


def _attempts(target: Any, normalizer: Normalizer, name: str) -> list[Attempt]:
    if module.is_module(target):
        return _module(target, normalizer, name)
    pair = _pair(target)
    if pair is not None:
        return _numpy(*pair, normalizer, name)
    if not callable(target):
        raise UsageError(
            f"{name} is {type(target).__name__}, not a function, a torch.nn.Module class or instance, "
            "or a pair (forward, backward) of numpy functions"
        )
    if inspect.isclass(target) and not issubclass(target, torch.autograd.Function):
        raise UsageError(f"{name} is a class, but no torch.nn.Module: name a function, or a method of an instance")
    return _function(target, normalizer, name)


def _pair(target: Any) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    if isinstance(target, (tuple, list)) and len(target) == 2 and all(map(callable, target)):
        return target[0], target[1]
    torch_own = inspect.isclass(target) and issubclass(target, torch.autograd.Function)
    forward, backward = getattr(target, "forward", None), getattr(target, "backward", None)
    if callable(forward) and callable(backward) and not torch_own:
        return forward, backward
    return None


def _first(attempts: Sequence[Attempt], normalizer: Normalizer, promised: Contract) -> tuple[Call, Domain]:
    """The first way of calling that works; the first failure if none does."""
    failure: CallError | None = None
    for call, offer in attempts:
        try:
            return call, discover(normalizer, promised, call, offer)
        except CallError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _missing(roles: frozenset[str], normalizer: Normalizer) -> tuple[tuple[str, str], ...]:
    """Arguments of torch's counterpart that are not there, each a capability that is not there."""
    said = {
        "weight": "takes no weight", "bias": "takes no bias", "eps": "takes no eps",
        "running_mean": "keeps no running statistics", "training": "has no evaluation mode",
        "use_input_stats": "has no evaluation mode", "momentum": "takes no momentum",
        "normalized_shape": "normalizes one fixed axis", "dim": "normalizes along one fixed dim",
    }  # fmt: skip
    return tuple((role, said[role]) for role in normalizer.arguments if role in said and role not in roles)


def _offer(binding: Binding, normalizer: Normalizer) -> Offer:
    roles = binding.roles
    required = [role for role in ("weight", "bias") if binding.required(role)]
    has_state = normalizer.state and set(normalizer.kept) <= roles
    mode = bool({"training", "use_input_stats"} & roles)
    trailing = normalizer.sets.layout == "trailing"
    return Offer(
        affine=("weight",) if normalizer.acts_on == "weight" else offered_affine(sorted(roles), required, normalizer),
        takes_eps="eps" in roles,
        normalized=(1, 2) if trailing and binding.name("normalized_shape") in SHAPES else (1,),
        dims=(0, 1, None) if normalizer.sets.layout == "rows" and "dim" in roles else (0,),
        state=has_state and "momentum" in roles,
        evaluation=has_state and mode,
        absent=_missing(roles, normalizer),
    )


def _bare(offer: Offer) -> Offer:
    """What is offered where arrays are not handed over as tensors of our making."""
    return replace(offer, strided=False, watched=False, uses=())


def _function(target: Callable[..., Any], normalizer: Normalizer, name: str) -> list[Attempt]:
    function, parameters = torch_function.callable_and_parameters(target, normalizer)
    if _transforms(parameters, normalizer):
        binding = bind(parameters, transform.ROLES, normalizer, name)
        dims = (0, 1, None) if "dim" in binding.roles else (0,)
        offer = replace(_bare(Offer(("weight",), takes_eps=False, dims=dims)), uses=transform.USES)
        return [(transform.make(function, binding, name), offer)]
    binding = bind(parameters, (*normalizer.arguments, "backend"), normalizer, name, fallback="input")
    offer = _offer(binding, normalizer)
    ways: tuple[dict[str, Any], ...] = ({}, {"shape_as": int}, {"always_state": True}, {"flat_weight": True})
    attempts = [
        (
            torch_function.make(function, binding, name, **way),
            replace(offer, spell=call_source.of_function(name, binding, way.get("shape_as", tuple))),
        )
        for way in ways
    ]
    return [*attempts, (numpy_pair.make(function, binding, None, None, name), _bare(offer))]


def _numpy(
    forward: Callable[..., Any], backward: Callable[..., Any], normalizer: Normalizer, name: str
) -> list[Attempt]:
    found = from_signature(forward)
    if found is None:
        raise UsageError(f"{name}: its forward has no named parameters, such as {', '.join(normalizer.arguments)}")
    binding = bind(found, normalizer.arguments, normalizer, f"{name} (forward)", fallback="input")
    roles = ("dy", "cache", *normalizer.arguments)
    back = bind(from_signature(backward) or [], roles, normalizer, f"{name} (backward)", fallback="dy")
    offer = _bare(_offer(binding, normalizer))
    return [
        (numpy_pair.make(forward, binding, backward, back, name, shape_as=shape_as), offer) for shape_as in (tuple, int)
    ]


def _module(target: Any, normalizer: Normalizer, name: str) -> list[Attempt]:
    if isinstance(target, torch.nn.Module):
        build, sizes = module.fixed(target)
        offer = _module_offer(target, frozenset(), normalizer, sizes=sizes)
        return [(module.make(build, name), offer)]
    asked = module.constructor(target, normalizer, name)
    attempts: list[Attempt] = []
    failure: UsageError | None = None
    for binding, shape_as in product(_stateful(asked), (int, tuple)):
        build = module.factory(target, binding, name, shape_as=shape_as)
        try:
            sample = build(_sample(normalizer))
        except UsageError as error:
            failure = failure or error
            continue
        offer = _module_offer(sample, binding.roles, normalizer, width=binding.name("normalized_shape"))
        lacks = tuple((f"{role}=False", "needs running statistics") for role in asked.roles - binding.roles)
        spell = call_source.of_module(name, binding, shape_as, module.places(sample))
        attempts.append((module.make(build, name), replace(offer, spell=spell, absent=offer.absent + lacks)))
    if not attempts:
        assert failure is not None
        raise failure
    return attempts


def _stateful(binding: Binding) -> tuple[Binding, ...]:
    """With and without the option that a module keeps no running statistics: many that inherit it need them."""
    return tuple(dict.fromkeys((binding, binding.without("track_running_stats"))))


def _sample(normalizer: Normalizer) -> Case:
    draw = Draw(n=8, sets=6, rank=4 if normalizer.spatial else 2)
    return state(normalizer, draw, training=True) if normalizer.state else values(normalizer, draw)


def _module_offer(
    sample: torch.nn.Module,
    roles: frozenset[str],
    normalizer: Normalizer,
    *,
    width: str = "",
    sizes: Sizes | None = None,
) -> Offer:
    """What a module offers: options of its constructor, parameters and buffers that it has."""
    weight, bias = module.parameters(sample, module.parameter_names(sample))
    held = dict(zip(("running_mean", "running_var"), module.buffers(sample), strict=True))
    has_state = normalizer.state and all(held[name] is not None for name in normalizer.kept)
    affine = []
    complete = (weight is not None or not normalizer.weight) and (bias is not None or not normalizer.bias)
    if complete:
        affine.append("both" if normalizer.bias else "weight")
    if weight is not None and normalizer.bias and ("use_bias" in roles or bias is None):
        affine.append("weight")
    if "affine" in roles or not (complete or weight is not None) or ("use_bias" in roles and weight is None):
        affine.append("none")
    eps = next(
        (v for n in ("eps", "epsilon", "variance_epsilon") if isinstance(v := getattr(sample, n, None), float)), None
    )
    absent = [] if weight is not None or not normalizer.weight else [("weight", "has no weight")]
    if normalizer.bias and bias is None:
        absent.append(("bias", "has no bias"))
    if normalizer.state and not has_state:
        absent.append(("running statistics", "keeps no running statistics"))
    takes_momentum = "momentum" in roles or bool(module.momentum_name(sample))
    if has_state and not takes_momentum:
        absent.append(("running statistics", "takes no momentum"))
    return Offer(
        affine=tuple(affine),
        takes_eps="eps" in roles,
        eps_attribute=eps,
        normalized=(1, 2) if normalizer.sets.layout == "trailing" and width in SHAPES else (1,),
        state=has_state and takes_momentum,
        evaluation=has_state,
        sizes=sizes,
        own_parameters=False,
        uses=uses.ALL,
        absent=tuple(absent),
    )
