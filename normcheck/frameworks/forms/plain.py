"""A target of a form as the plain normalizer: the same callable without the parameters that the form adds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from types import MethodType
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.foreign_code import attribute
from normcheck.frameworks.fixed import Fixed, fixed, of_fixed
from normcheck.frameworks.forms import add, gate, mask
from normcheck.frameworks.forms.form import FormArrays, FormCall, FormSpec
from normcheck.frameworks.protocol import Framework
from normcheck.frameworks.roles import NAMES, Parameter, from_signature, names_of, plain
from normcheck.normalizers import forms
from normcheck.normalizers.normalizer import Normalizer

SPECS: dict[str, FormSpec] = {
    forms.ADD: add.FORM,
    forms.GATE: gate.AFTER,
    forms.GATE_FIRST: gate.FIRST,
    forms.MASK: mask.FORM,
}
"""Every form by its name in the contract."""


def plain_targets(framework: Framework, target: Any, form: str, normalizer: Normalizer, name: str) -> dict[str, Any]:
    """The target called as the plain normalizer, and in every further way of its forms, by the names of these calls.

    form: names of forms, joined by "+". Raises `UsageError` if the target has no parameter for what a form adds, or its
    framework has no arrays that a form can be checked with.
    """
    arrays = framework.form_arrays
    if arrays is None:
        raise UsageError(f"{name}: form={form}: a form of code of {framework.name} is not checked yet")
    wanted = form.split("+")
    without = partial(_without, framework, arrays, normalizer, name)
    out = {forms.PLAIN: target}
    for one in wanted:
        out[forms.PLAIN] = without(out[forms.PLAIN], one, forms.PLAIN)
    for one in wanted:
        inner = target
        for other in wanted:
            inner = inner if other == one else without(inner, other, forms.PLAIN)
        out |= {use: without(inner, one, use) for use in forms.USES[one]}
    return out


def _without(
    framework: Framework, arrays: FormArrays, normalizer: Normalizer, name: str, target: Any, form: str, call: str
) -> Any:
    """The target without the parameters of one form, called in one way."""
    spec = SPECS[form]
    reduced = partial(
        _reduced, spec=spec, call=spec.calls[call], arrays=arrays, normalizer=normalizer, name=f"{name}: form={form}"
    )
    layers = framework.layers
    given = fixed(target)
    if layers is None or not layers.is_layer(given.inner):
        function, parameters = framework.parameters(given.inner, normalizer)
        return of_fixed(Fixed(reduced(function, parameters), given.args, given.kwargs))
    if not inspect.isclass(given.inner):
        out = layers.copy(given.inner)
        out.__class__ = _subclass(type(out), reduced)
        return out
    return of_fixed(Fixed(_subclass(given.inner, reduced), given.args, given.kwargs))


def _subclass(base: type, reduced: Callable[[Callable[..., Any], Sequence[Parameter]], Any]) -> type:
    """The class with a call without the parameters of a form."""
    method = "forward" if callable(attribute(base, "forward")) else "__call__"
    inner = getattr(base, method)
    own_self, *parameters = from_signature(inner) or [Parameter("self", required=True, keyword=False)]
    rest = reduced(inner, parameters).__signature__.parameters.values()

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return reduced(MethodType(inner, self), parameters)(*args, **kwargs)

    first = inspect.Parameter(own_self.name, inspect.Parameter.POSITIONAL_ONLY)
    call.__signature__ = inspect.Signature([first, *rest])  # type: ignore[attr-defined]
    own = {name: attribute(base, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(base)(base.__name__, (base,), own | {method: call})


def _reduced(
    function: Callable[..., Any],
    parameters: Sequence[Parameter],
    spec: FormSpec,
    call: FormCall,
    arrays: FormArrays,
    normalizer: Normalizer,
    name: str,
) -> Any:
    """The function without the parameters of a form, which get values made from its input."""
    names = {role: _parameter(parameters, known, role, normalizer, name) for role, known in spec.roles.items()}
    names["input"] = _input(parameters, tuple(names.values()))
    rest = [one for one in parameters if one.name not in names.values() or one.name == names["input"]]

    def plain_call(*args: Any, **kwargs: Any) -> Any:
        values = {one.name: value for one, value in zip(rest, args, strict=False)} | kwargs
        given = call.given(values[names["input"]], arrays, normalizer)
        values |= {names[role]: value for role, value in given.items() if role in names}
        by_position = []
        for one in parameters:
            if one.keyword or one.name not in values:
                break
            by_position.append(values.pop(one.name))
        return call.taken(function(*by_position, **values), given, arrays, normalizer)

    plain_call.__signature__ = _signature(rest)  # type: ignore[attr-defined]
    return plain_call


def _parameter(
    parameters: Sequence[Parameter], known: tuple[str, ...], role: str, normalizer: Normalizer, name: str
) -> str:
    """The name of the parameter with a role: one of its names, else a second required one that has no other role.

    Raises `UsageError`, with the names that would be understood.
    """
    fitting = [one.name for one in parameters if plain(one.name) in known]
    if not fitting:
        others = {other for role in normalizer.arguments if role != "input" for other in names_of(normalizer, role)}
        free = [one.name for one in parameters if one.required and plain(one.name) not in others]
        if len(free) == 2:
            return free[1]
        raise UsageError(f"{name}: it takes no {role}: name that parameter as one of {', '.join(known[:6])}")
    return min(fitting, key=lambda one: known.index(plain(one)))


def _input(parameters: Sequence[Parameter], taken: tuple[str, ...]) -> str:
    free = [one.name for one in parameters if one.name not in taken]
    named = [one for one in free if plain(one) in NAMES["input"]]
    return min(named, key=lambda one: NAMES["input"].index(plain(one)), default=free[0] if free else "")


def _signature(parameters: Sequence[Parameter]) -> inspect.Signature:
    """A signature with these parameters; those with a default value, which is not known here, get None."""
    kind = inspect.Parameter
    required = [one for one in parameters if one.required]
    optional = [one for one in parameters if not one.required]
    return inspect.Signature([
        kind(
            one.name,
            kind.POSITIONAL_OR_KEYWORD if one.keyword else kind.POSITIONAL_ONLY,
            default=kind.empty if one.required else None,
        )
        for one in sorted([*required, *optional], key=lambda one: one.keyword)
    ])  # fmt: skip
