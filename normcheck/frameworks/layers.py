"""The ways to construct and call a layer class or instance as a normalizer, in any framework that has layers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

from normcheck.core import uses
from normcheck.core.errors import CallError, UsageError
from normcheck.core.foreign_code import ENDS, attribute, first_line
from normcheck.core.target import adapted
from normcheck.frameworks.fixed import fixed
from normcheck.frameworks.forwarding import own_parameters
from normcheck.frameworks.functions import SHAPES
from normcheck.frameworks.probe import Attempt, Offer
from normcheck.frameworks.protocol import Build, Framework, LayerParts, Layers
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import NAMES, Binding, Parameter, bind, from_signature, given_roles, hint, plain
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.fit import ranks
from normcheck.normalizers.sampling.recipes import Draw, Sizes, state, values
from normcheck.normalizers.subject import PARAMETERS

CONSTRUCTOR = ("normalized_shape", "num_groups", "num_channels", "eps", "momentum", "p", "affine", "use_bias",
               "track_running_stats")  # fmt: skip

WIDTHS = ("dim", "dims", "size", "hidden")
"""Further names of a width in a constructor; in a function these names mean an axis."""

AXES = (*NAMES["dim"], "dims")
"""Names that mean a width only where a value is required: an optional one is the axis that is normalized."""

CONFIGURATIONS = ("config", "cfg", "conf", "configuration", "args", "hparams", "params", "options", "opt", "opts")
"""Names of a parameter that takes an object of options, as `config.hidden_size`."""


def attempts(framework: Framework, layers: Layers, target: Any, normalizer: Normalizer, name: str) -> list[Attempt]:
    """The ways to construct and call a layer, the most common first.

    Raises `UsageError` if the layer cannot be constructed, or if a required parameter of its constructor has no known
    role.
    """
    if not layers.is_class(target):
        build = _copies(layers, target, name, normalizer)
        made = sample(build, normalizer)
        _raise_if_more_inputs(made, name)
        offer = _offer(framework, layers.parts(made), frozenset(), normalizer).without(framework.unsupported(made))
        call = layers.call(build, name, normalizer)
        return [Attempt(call, replace(offer, sizes=layers.sizes(target)), framework.trial(call))]
    matched = constructor(layers, target, normalizer, name)
    out: list[Attempt] = []
    failure: UsageError | None = None
    for binding, shape_as in product(_stateful(matched), (int, tuple)):
        binding = _with_own_eps(layers, target, binding, name, shape_as=shape_as, normalizer=normalizer)  # noqa: PLW2901
        build = factory(layers, target, binding, name, shape_as=shape_as, normalizer=normalizer)
        try:
            made = sample(build, normalizer)
            _raise_if_more_inputs(made, name)
            parts = layers.parts(made)
        except UsageError as error:
            failure = failure or error
            continue
        offer = _offer(framework, parts, binding.roles, normalizer, width=binding.name("normalized_shape"))
        missing = tuple((f"{role}=False", "needs running statistics") for role in matched.roles - binding.roles)
        spell = layers.spell(target, name, binding, shape_as, _names(parts), normalizer)
        sizes = _sizes(layers, target, matched, normalizer, made)
        offer = replace(offer, sizes=sizes, spell=spell, language=framework.language, absent=offer.absent + missing)
        call = layers.call(build, name, normalizer)
        out.append(Attempt(call, offer, framework.trial(call)))
    if not out:
        assert failure is not None
        raise failure
    return [*out, *(_as_constructed(one) for one in out if one.offer.affine[0] != "none")]


def _raise_if_more_inputs(layer: Any, name: str) -> None:
    """Raise `UsageError` for a layer whose calls require more than the input."""
    method = attribute(type(layer), "forward") or attribute(type(layer), "__call__")
    more = [one for one in (from_signature(method) or ())[2:] if one.required]  # without self and the input
    if more:
        raise UsageError(more_inputs(more, name))


def more_inputs(parameters: Sequence[Parameter], name: str) -> str:
    """The sentence on a layer whose calls require these parameters beside the input."""
    names = [one.name for one in parameters]
    what = f"{name} requires {', '.join(map(repr, names))} in each call beside its input"
    return f"{what}: {hint(names[0])}{adapted(name)}"


def _as_constructed(attempt: Attempt) -> Attempt:
    """The layer with the values that its parameters have after construction, for one that cannot get those of a case.

    Such a layer has parameters of other shapes, as one weight for all units.
    """
    why = "of other shapes than (units,): they keep their first values"
    absent = (*attempt.offer.absent, (PARAMETERS, why))
    return replace(attempt, offer=replace(attempt.offer, affine=("none",), absent=absent))


def builder(layers: Layers, target: Any, normalizer: Normalizer, name: str) -> Build:
    """A function that builds the layer of a case; a class is constructed with sizes of type int."""
    if not layers.is_class(target):
        return _copies(layers, target, name, normalizer)
    return factory(
        layers, target, constructor(layers, target, normalizer, name), name, shape_as=int, normalizer=normalizer
    )


def constructor(layers: Layers, target: Any, normalizer: Normalizer, name: str) -> Binding:
    """The constructor's parameters by role. Raises `UsageError` if a required one has no known role."""
    width = _width(normalizer)
    unused = "num_channels" if width == "normalized_shape" else "normalized_shape"
    missing = {
        "num_groups": "num_groups" not in normalizer.arguments,
        "momentum": not normalizer.state,
        "track_running_stats": not normalizer.state,
        "p": not normalizer.partial,
        "use_bias": not normalizer.bias,
        unused: True,
    }
    roles = [role for role in CONSTRUCTOR if not missing.get(role, False)]
    roles.sort(key=lambda role: role == width)  # the width is matched last: its names are the least specific
    given = fixed(target)
    whole = layers.constructor(given.inner)
    free = [one for one in given.free(whole) if one.required or plain(one.name) not in AXES]
    known = given_roles(given.named(whole), roles, normalizer, more={width: WIDTHS, **layers.names})
    fallback = width if width not in known and any(p.required for p in free) else None
    wanted = [role for role in roles if role not in known]
    options = next((one.name for one in free if one.required and plain(one.name) in CONFIGURATIONS), "")
    if options:
        raise UsageError(f"{name} is constructed from an object of options, {options!r}: {adapted(name)}")
    binding = bind(free, wanted, normalizer, name, fallback=fallback, more={width: WIDTHS, **layers.names})
    return replace(binding, args=given.args, kwargs=given.kwargs)


def _width(normalizer: Normalizer) -> str:
    """The role of the number of units in a constructor."""
    return "normalized_shape" if normalizer.sets.layout == "trailing" else "num_channels"


def _sizes(layers: Layers, target: Any, binding: Binding, normalizer: Normalizer, made: Any) -> Sizes | None:
    """The sizes that fixed arguments fix. A class that takes no number of groups has that of a layer of it, or one."""
    given = fixed(target)
    own = layers.sizes(made)
    known = given_roles(
        given.named(layers.constructor(given.inner)),
        CONSTRUCTOR,
        normalizer,
        more={_width(normalizer): WIDTHS, **layers.names},
    )
    if _width(normalizer) not in binding.roles and (given.args or _width(normalizer) in known):
        return own
    if "num_groups" not in normalizer.arguments or "num_groups" in binding.roles:
        return None
    return Sizes(None, known.get("num_groups", 1 if own is None else own.groups))


def factory(
    layers: Layers, target: Any, binding: Binding, name: str, *, shape_as: type, normalizer: Normalizer
) -> Build:
    """A function that constructs the layer of a case. It raises `UsageError` if the constructor raises.

    shape_as: the type in which sizes are passed, int or tuple.
    """

    def build(case: Case) -> Any:
        values = role_values(case, shape_as)
        values["affine"] = case.weight is not None or case.bias is not None
        values["use_bias"] = case.bias is not None
        values["track_running_stats"] = case.running_mean is not None
        args, kwargs = binding.arguments(values)
        try:
            made = layers.construct(fixed(target).inner, args, kwargs)
            return with_momentum(layers, layers.materialized(made, case, name, normalizer), case)
        except (*ENDS, CallError):
            raise
        except BaseException as error:
            passed = ", ".join([*map(str, args), *(f"{k}={v}" for k, v in kwargs.items())])
            raise UsageError(
                f"{name}: constructing it as {target.__name__}({passed}) raised {first_line(error)}"
            ) from None

    return build


def _copies(layers: Layers, instance: Any, name: str, normalizer: Normalizer) -> Build:
    """A function that copies an instance. It raises `UsageError` if it cannot be copied."""

    def build(case: Case) -> Any:
        try:
            return with_momentum(layers, layers.materialized(layers.copy(instance), case, name, normalizer), case)
        except (*ENDS, CallError):
            raise
        except UsageError as error:
            raise UsageError(f"{name} {error}") from None
        except BaseException as error:
            raise UsageError(f"{name}: copying it raised {first_line(error)}") from None

    return build


def with_momentum(layers: Layers, layer: Any, case: Case) -> Any:
    """The layer with its momentum attribute set to the case's: not every constructor has an argument for it."""
    name = layers.parts(layer).momentum if case.running_mean is not None else ""
    if name:
        setattr(layer, name, case.momentum)
    return layer


def _with_own_eps(
    layers: Layers, target: Any, binding: Binding, name: str, *, shape_as: type, normalizer: Normalizer
) -> Binding:
    """The binding without eps, if a base class takes it and the class sets its own: it has no such argument."""
    if "eps" not in binding.roles or binding.name("eps") in own_parameters(fixed(target).inner):
        return binding
    case = sample_case(normalizer, 2)
    try:
        shown = layers.parts(factory(layers, target, binding, name, shape_as=shape_as, normalizer=normalizer)(case)).eps
    except (UsageError, CallError):
        return binding
    return binding.without("eps") if shown is not None and shown != case.eps else binding


def _stateful(binding: Binding) -> tuple[Binding, ...]:
    """The binding with and without `track_running_stats`: subclasses may inherit the option and need the statistics."""
    return tuple(dict.fromkeys((binding, binding.without("track_running_stats"))))


def sample_case(normalizer: Normalizer, rank: int) -> Case:
    """An ordinary case, used to construct a sample layer of a class."""
    draw = Draw(n=8, sets=6, rank=rank)
    return state(normalizer, draw, training=True) if normalizer.state else values(normalizer, draw)


def sample(build: Build, normalizer: Normalizer) -> Any:
    """A layer of ordinary sizes. Raises `UsageError` if it cannot be constructed.

    A lazy layer is called to complete it, and takes inputs of some ranks only.
    """
    first, *rest = ranks(normalizer) if normalizer.spatial else (2, *(r for r in ranks(normalizer) if r != 2))
    try:
        return build(sample_case(normalizer, first))
    except CallError as error:
        for rank in rest:
            with suppress(CallError):
                return build(sample_case(normalizer, rank))
        raise UsageError(str(error)) from None


def _names(parts: LayerParts) -> dict[str, str]:
    roles = ("weight", "bias", "running_mean", "running_var")
    return {role: name for role in roles if (name := getattr(parts, role))}


def _offer(
    framework: Framework, parts: LayerParts, roles: frozenset[str], normalizer: Normalizer, *, width: str = ""
) -> Offer:
    """What a layer supports, judged by the options of its constructor, its parameters and its buffers."""
    weight, bias = bool(parts.weight), bool(parts.bias)
    has_state = normalizer.state and all(getattr(parts, name) for name in normalizer.kept)
    affine = []
    complete = (weight or not normalizer.weight) and (bias or not normalizer.bias)
    if complete:
        affine.append("both" if normalizer.bias else "weight")
    if weight and normalizer.bias and ("use_bias" in roles or not bias):
        affine.append("weight")
    if "affine" in roles or not (complete or weight) or ("use_bias" in roles and not weight):
        affine.append("none")
    absent = [] if weight or not normalizer.weight else [("weight", "has no weight")]
    if normalizer.bias and not bias:
        absent.append(("bias", "has no bias"))
    if normalizer.state and not has_state:
        absent.append(("running statistics", "keeps no running statistics"))
    takes_momentum = "momentum" in roles or bool(parts.momentum)
    if has_state and not takes_momentum:
        absent.append(("running statistics", "takes no momentum"))
    return Offer(
        affine=tuple(affine),
        takes_eps="eps" in roles,
        eps_attribute=parts.eps,
        normalized=(1, 2) if normalizer.sets.layout == "trailing" and width in SHAPES else (1,),
        state=has_state and takes_momentum,
        evaluation=has_state,
        layouts=framework.layouts,
        watched=framework.watched,
        compiles_per_shape=framework.compiles_per_shape,
        own_parameters=False,
        uses=tuple(use for use in uses.ALL if use in framework.layer_uses),
        absent=(*absent, *framework.absent.items()),
    )
