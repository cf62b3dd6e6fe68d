"""A target of a form as the plain normalizer: the same callable without the parameters that the form adds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from types import MethodType
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.foreign_code import attribute
from normcheck.frameworks.fixed import Fixed, fixed, of_fixed
from normcheck.frameworks.forms import (
    activation,
    add,
    branch,
    channels_last,
    gate,
    groups,
    mask,
    modulated,
    packed,
    qk,
    quantized,
    rotary,
)
from normcheck.frameworks.forms.form import Around, FormArrays, FormCall, FormQuestion, FormSpec
from normcheck.frameworks.protocol import Framework
from normcheck.frameworks.roles import NAMES, Parameter, from_signature, names_of, plain
from normcheck.normalizers import forms
from normcheck.normalizers.activations import AFTER
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.quantization import QUANTIZED
from normcheck.normalizers.rotary import ROTATED

SPECS: dict[str, tuple[FormSpec, ...]] = {
    forms.ADD: (add.FORM,),
    forms.GATE: (gate.AFTER,),
    forms.GATE_FIRST: (gate.FIRST,),
    forms.MASK: (mask.VALID, mask.INVALID, mask.NUMBER),
    forms.LENGTHS: (mask.LENGTHS,),
    forms.MODULATED: (modulated.BY_CASE, modulated.TO_BROADCAST),
    forms.CHANNELS_LAST: (channels_last.FORM,),
    forms.GROUPED: groups.FORMS,
    forms.QK: qk.FORMS,
    forms.BRANCH_BIAS: (branch.BIAS,),
    forms.DROPOUT: (branch.DROPOUT,),
    forms.PACKED: packed.FORMS,
    **{form: rotary.forms_of(form) for form in ROTATED},
    **{form: (activation.form(use),) for form, use in AFTER.items()},
    **{form: quantized.forms_of(form) for form in QUANTIZED},
}
"""Every form by its name in the contract, in the variants in which code takes it; the likeliest first."""


@dataclass(frozen=True, slots=True)
class FormedTarget:
    """A target without the parameters of its forms: called as the plain normalizer, and in each further way by name.

    around: what is made of the calls in each way, by its name.
    """

    plain: Any
    further: Mapping[str, Any]
    around: Mapping[str, Sequence[Around]]


def formed_targets(
    framework: Framework, target: Any, form: str, normalizer: Normalizer, name: str
) -> list[FormedTarget]:
    """A target in the variants of its forms, the likeliest first.

    form: names of forms, joined by "+". Raises `UsageError` if the target has no parameter for what a form adds, or its
    framework has no arrays that a form can be checked with.
    """
    refused = forms.refusal(form, normalizer)
    if refused:
        raise UsageError(f"{name}: form={form}: {refused}")
    if framework.form_arrays is None:
        raise UsageError(f"{name}: form={form}: a form of code of {framework.name} is not checked yet")
    names = form.split("+")
    out: list[FormedTarget] = []
    failure: UsageError | None = None
    for specs in product(*(SPECS[one] for one in names)):
        reduction = _Reduction(framework, framework.form_arrays, normalizer, f"{name}: form={form}")
        try:
            out.append(reduction.formed(target, specs, forms.ways(form)))
        except UsageError as error:
            failure = failure or error
    if not out:
        assert failure is not None
        raise failure
    return out


@dataclass(frozen=True, slots=True)
class _Reduction:
    """Takes the parameters of forms from a target."""

    framework: Framework
    arrays: FormArrays
    normalizer: Normalizer
    name: str

    def formed(self, target: Any, specs: Sequence[FormSpec], ways: Sequence[str]) -> FormedTarget:
        """The target without the parameters of all forms, called in further ways.

        Raises `UsageError` if it has none for one of them.
        """
        whole = self._without_all(target, sorted(specs, key=_outward))
        further: dict[str, Any] = {}
        around = {forms.PLAIN: [spec.calls[forms.PLAIN].around for spec in specs]}
        for spec in specs:
            own = [use for use in spec.calls if use in ways]
            others = [other for other in specs if other is not spec]
            first = [one for one in others if one.innermost or not (spec.innermost or one.outermost)]
            last = [one for one in others if one not in first]
            for use in own:
                beside = forms.BESIDE.get(use, forms.PLAIN)
                inner = self._without_all(target, sorted(first, key=_outward), beside)
                whole_way = self._without(inner, spec, use)
                further[use] = self._without_all(whole_way, sorted(last, key=_outward), beside)
                around[use] = [other.call(use if other is spec else beside).around for other in specs]
        return FormedTarget(whole, further, around)

    def _without_all(self, target: Any, specs: Sequence[FormSpec], use: str = forms.PLAIN) -> Any:
        """The target without the parameters of some forms, each called in a way if it has that, else plainly."""
        for spec in specs:
            target = self._without(target, spec, use)
        return target

    def _without(self, target: Any, spec: FormSpec, use: str) -> Any:
        """The target without the parameters of one form, called in one way."""
        layers, given = self.framework.layers, fixed(target)
        reduced = partial(self._reduced, spec=spec, call=spec.call(use))
        if layers is None or not layers.is_layer(given.inner):
            function, parameters = self.framework.parameters(given.inner, self.normalizer)
            return of_fixed(Fixed(reduced(function, parameters), given.args, given.kwargs))
        if not inspect.isclass(given.inner):
            out = layers.copy(given.inner)
            out.__class__ = _subclass(type(out), reduced)
            return out
        inner = _constructed(given.inner, spec)
        if inner is not None:
            return of_fixed(Fixed(inner, given.args, given.kwargs))
        return of_fixed(Fixed(_subclass(given.inner, reduced), given.args, given.kwargs))

    def _reduced(
        self, function: Callable[..., Any], parameters: Sequence[Parameter], spec: FormSpec, call: FormCall
    ) -> Any:
        """The function without the parameters of a form, which get values made from its input."""
        names = {role: self._parameter(parameters, known, role) for role, known in spec.roles.items()}
        names["input"] = _input(parameters, tuple(names.values()))
        changed = dict(self._changed(parameters, spec))
        called = {role: self._parameter(parameters, known, role) for role, known in spec.called.items()}
        rest = [
            replace(one, name=next((role for role, name in called.items() if name == one.name), one.name))
            for one in parameters
            if one.name not in names.values() or one.name == names["input"]
        ]

        def plain_call(*args: Any, **kwargs: Any) -> Any:
            values = {one.name: value for one, value in zip(rest, args, strict=False)} | kwargs
            values = {called.get(name, name): value for name, value in values.items()}
            own = {role: values[parameter] for role, parameter in changed.items() if parameter in values}
            keeps = partial(self._keeps_statistics, function, values)
            question = FormQuestion(values[names["input"]], self.arrays, self.normalizer, own, keeps)
            given = call.given(question)
            values |= {(names | changed)[role]: value for role, value in given.items() if role in names | changed}
            by_position = []
            for one in parameters:
                if one.keyword or one.name not in values:
                    break
                by_position.append(values.pop(one.name))
            run = partial(function, *by_position, **values)
            layer = self._layer_of(function)
            held = {} if layer is None else call.held(self.arrays.parameters(layer), self.arrays)
            returned = self.arrays.with_parameters(layer, held, run) if held else run()
            return call.taken(returned, given, question)

        plain_call.__signature__ = _signature(rest)  # type: ignore[attr-defined]
        return plain_call

    def _layer_of(self, function: Callable[..., Any]) -> Any:
        """The layer of which a function is a method; None if it is of none."""
        layers, layer = self.framework.layers, attribute(function, "__self__")
        return layer if layers is not None and layer is not None and layers.is_layer(layer) else None

    def _keeps_statistics(self, function: Callable[..., Any], values: Mapping[str, Any]) -> bool:
        """Whether a call gets running statistics, or its layer has them."""
        layers, layer = self.framework.layers, self._layer_of(function)
        if layers is not None and layer is not None:
            return bool(layers.parts(layer).running_mean)
        known = names_of(self.normalizer, "running_mean") if "running_mean" in self.normalizer.arguments else ()
        return any(plain(name) in known and value is not None for name, value in values.items())

    def _parameter(self, parameters: Sequence[Parameter], known: tuple[str, ...], role: str) -> str:
        """The name of the parameter with a role: one of its names, else a second required one with no other role.

        Raises `UsageError`, with the names that would be understood.
        """
        fitting = [one.name for one in parameters if plain(one.name) in known]
        if fitting:
            return min(fitting, key=lambda one: known.index(plain(one)))
        roles = [one for one in self.normalizer.arguments if one != "input"]
        others = {other for one in roles for other in names_of(self.normalizer, one)}
        free = [one.name for one in parameters if one.required and plain(one.name) not in others]
        if len(free) == 2 and role == "residual":
            return free[1]
        understood = ", ".join(known[:6])
        raise UsageError(f"{self.name}: it takes no {role}: name that parameter as one of {understood}")

    def _changed(self, parameters: Sequence[Parameter], spec: FormSpec) -> Iterator[tuple[str, str]]:
        """The names of the parameters whose values a form changes, by role."""
        for role in spec.changed:
            known = spec.called.get(role) or names_of(self.normalizer, role)
            found = [one.name for one in parameters if plain(one.name) in known]
            if found:
                yield role, found[0]


def _outward(spec: FormSpec) -> tuple[bool, bool]:
    """The order in which forms are taken from a target."""
    return not spec.innermost, spec.outermost


def _constructed(base: type, spec: FormSpec) -> type | None:
    """The class whose constructor takes no parameter of a form; None if it takes none, or the form has none there.

    Its value follows from the first whole number that the constructor gets, which is the width.
    """
    value, known = spec.constructed, {name for names in spec.roles.values() for name in names}
    own = inspect.signature(base.__init__)  # type: ignore[misc]  # of the class itself, not of an instance
    name = next((name for name in own.parameters if plain(name) in known), "")
    if value is None or not name:
        return None
    rest = own.replace(parameters=[one for one in own.parameters.values() if one.name != name])

    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        given = rest.bind(self, *args, **kwargs).arguments
        width = next((one for one in list(given.values())[1:] if isinstance(one, int)), 0)
        base.__init__(**given, **{name: value(width)})  # type: ignore[misc]

    construct.__signature__ = rest  # type: ignore[attr-defined]
    kept = {one: attribute(base, one) for one in ("__module__", "__qualname__", "__doc__")}
    return type(base)(base.__name__, (base,), kept | {"__init__": construct})


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


def _input(parameters: Sequence[Parameter], taken: tuple[str, ...]) -> str:
    """The name of the parameter that is the input, of those that no form has taken."""
    free = [one.name for one in parameters if one.name not in taken]
    named = [one for one in free if plain(one) in NAMES["input"]]
    return min(named, key=lambda one: NAMES["input"].index(plain(one)), default=free[0] if free else "")


def _signature(parameters: Sequence[Parameter]) -> inspect.Signature:
    """A signature with these parameters; those with a default value, which is not known here, get None."""
    kind = inspect.Parameter
    ordered = sorted(parameters, key=lambda one: (one.keyword, not one.required))
    return inspect.Signature([
        kind(
            one.name,
            kind.POSITIONAL_OR_KEYWORD if one.keyword else kind.POSITIONAL_ONLY,
            default=kind.empty if one.required else None,
        )
        for one in ordered
    ])  # fmt: skip
