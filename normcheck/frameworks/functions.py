"""The ways to call a function as a normalizer, in any framework: its parameters by role, and what it supports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.frameworks import call_source
from normcheck.frameworks.fixed import Fixed, fixed, raise_unless_taken
from normcheck.frameworks.probe import MODES, Attempt, Offer, offered_affine
from normcheck.frameworks.protocol import Framework, Transforming
from normcheck.frameworks.roles import NAMES, Binding, Parameter, bind, given_roles, plain
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes

SHAPES = ("normalized_shape", "shape", "normalized_dims", "normalized_size")
"""Names of a parameter that takes the sizes of several axes; a parameter of another name takes one width."""

TRANSFORM = ("module", "name", "dim")
"""The roles of a function that transforms a module."""


def attempts(framework: Framework, target: Any, normalizer: Normalizer, name: str) -> list[Attempt]:
    """The ways to call a function, the most common first.

    Raises `UsageError` if a required parameter has no known role.
    """
    function, parameters, given = _parameters(framework, target, normalizer, name)
    made = _transforming(framework, function, parameters, normalizer, name)
    if made is not None:
        binding, transforming = made
        dims = (0, 1, None) if "dim" in binding.roles else (0,)
        offer = Offer(("weight",), takes_eps=False, dims=dims, layouts=(), watched=False, uses=transforming.uses)
        return [Attempt(transforming.call, offer, transforming.call)]
    known = given_roles(given.named(framework.parameters(given.inner, normalizer)[1]), normalizer.arguments, normalizer)
    roles = [role for role in (*normalizer.arguments, "backend") if role not in known]
    binding = bind(parameters, roles, normalizer, name, fallback="input")
    _raise_unless_input(parameters, binding, normalizer, name)
    binding = replace(binding, args=given.args, kwargs=given.kwargs)
    offer = replace(
        _offer(framework, binding, normalizer),
        sizes=_sizes(known, binding, normalizer),
        trained_only=framework.trained_only(function, normalizer),
    )
    offer = offer.without(framework.unsupported(given.inner))
    out = []
    for style in framework.styles:
        call = framework.function(function, binding, normalizer, name, style)
        moves = None if framework.language is None else framework.language.moved
        spell = call_source.of_function(name, binding, style.shape_as, moves)
        out.append(Attempt(call, replace(offer, spell=spell, language=framework.language), framework.trial(call)))
    return out


def _raise_unless_input(parameters: list[Parameter], binding: Binding, normalizer: Normalizer, name: str) -> None:
    """Raises `UsageError` if what would be the input has a number, text or truth value as its default.

    Such a function makes something, as a model from its options: called with an array it may do so for minutes.
    """
    taken = next((one for one in parameters if one.name == binding.name("input")), None)
    if taken is not None and taken.default:
        raise UsageError(
            f"{name}: as {normalizer.name} it takes no input: its first parameter {taken.name!r} is {taken.default} by "
            f"default; name the input as one of {', '.join(NAMES['input'][:3])}"
        )


def transforming(framework: Framework, target: Any, normalizer: Normalizer, name: str) -> Transforming | None:
    """The target as a function that transforms the weight of a module; None if it is not such a function."""
    function, parameters, _ = _parameters(framework, target, normalizer, name)
    found = _transforming(framework, function, parameters, normalizer, name)
    return None if found is None else found[1]


def _parameters(
    framework: Framework, target: Any, normalizer: Normalizer, name: str
) -> tuple[Any, list[Parameter], Fixed]:
    """The object to call, its parameters that are free, and those that are fixed."""
    given = fixed(target)
    try:
        function, parameters = framework.parameters(given.inner, normalizer)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    raise_unless_taken(given, parameters, name)
    return function, given.free(parameters), given


def _transforming(
    framework: Framework, function: Any, parameters: list[Parameter], normalizer: Normalizer, name: str
) -> tuple[Binding, Transforming] | None:
    takes_module = bool(parameters) and plain(parameters[0].name) in NAMES["module"]
    if normalizer.acts_on != "weight" or not takes_module:
        return None
    binding = bind(parameters, TRANSFORM, normalizer, name)
    made = framework.transforming(function, binding, name)
    return None if made is None else (binding, made)


def _sizes(known: Mapping[str, Any], binding: Binding, normalizer: Normalizer) -> Sizes | None:
    """The sizes that fixed arguments fix; a function that takes no number of groups has one group."""
    shape = known.get("normalized_shape")
    if shape is not None:
        axes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        return Sizes(math.prod(axes), 1, axes)
    grouped = "num_groups" in normalizer.arguments and "num_groups" not in binding.roles
    return Sizes(None, known.get("num_groups", 1)) if grouped else None


def _missing(roles: frozenset[str], normalizer: Normalizer) -> tuple[tuple[str, str], ...]:
    """Arguments of torch's function that this one does not have, each with the capability that is missing."""
    reasons = {
        "weight": "takes no weight", "bias": "takes no bias", "eps": "takes no eps",
        "running_mean": "keeps no running statistics", "training": "has no evaluation mode",
        "use_input_stats": "has no evaluation mode", "momentum": "takes no momentum",
        "normalized_shape": "normalizes one fixed axis", "dim": "normalizes along one fixed dim",
    }  # fmt: skip
    return tuple((role, reasons[role]) for role in normalizer.arguments if role in reasons and role not in roles)


def _offer(framework: Framework, binding: Binding, normalizer: Normalizer) -> Offer:
    roles = binding.roles
    required = [role for role in ("weight", "bias") if binding.required(role)]
    has_state = normalizer.state and set(normalizer.kept) <= roles
    mode = bool(roles.intersection(MODES))
    trailing = normalizer.sets.layout == "trailing"
    return Offer(
        affine=("weight",) if normalizer.acts_on == "weight" else offered_affine(sorted(roles), required, normalizer),
        takes_eps="eps" in roles,
        normalized=(1, 2) if trailing and binding.name("normalized_shape") in SHAPES else (1,),
        dims=(0, 1, None) if normalizer.sets.layout == "rows" and "dim" in roles else (0,),
        state=has_state and "momentum" in roles,
        evaluation=has_state and mode,
        modeless=has_state and not mode and "momentum" not in roles,
        layouts=framework.layouts,
        watched=framework.watched,
        compiles_per_shape=framework.compiles_per_shape,
        uses=framework.uses,
        absent=(*_missing(roles, normalizer), *framework.absent.items()),
    )
