"""Matching the parameters of a callable to roles by their names, for all frameworks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.target import adapted
from normcheck.frameworks import forwarding
from normcheck.frameworks.forms.names import form_of
from normcheck.normalizers.normalizer import Normalizer

NAMES: dict[str, tuple[str, ...]] = {
    "input": ("input", "x", "inp", "inputs", "a", "input_tensor", "hidden_states", "data", "tensor"),
    "normalized_shape": (
        "normalized_shape", "shape", "normalized_dims", "normalized_size", "hidden_size", "hidden_dim", "features",
        "num_features", "d_model", "n_embd", "embed_dim", "width", "size", "ndim", "dim_size", "d", "n", "h",
        "input_size",
    ),
    "weight": (
        "weight", "gamma", "scale", "gain", "g", "w", "weights", "norm_weight", "ln_weight", "ln_scale",
    ),
    "bias": ("bias", "beta", "shift", "b", "offset", "norm_bias", "ln_bias"),
    "eps": (
        "eps", "epsilon", "variance_epsilon", "layer_norm_eps", "rms_norm_eps", "norm_eps", "norm_epsilon",
        "ln_epsilon", "ln_eps", "e",
    ),
    "num_groups": ("num_groups", "groups", "n_groups", "ngroups", "group", "g_count", "g"),
    "num_channels": (
        "num_channels", "num_features", "channels", "features", "c", "n_channels", "planes", "dim", "in_channels",
        "input_size",
    ),
    "running_mean": ("running_mean", "moving_mean", "rm", "mean"),
    "running_var": ("running_var", "running_variance", "moving_var", "moving_variance", "rv", "var"),
    "training": ("training", "is_training", "train", "is_train", "train_flg", "train_flag", "train_mode"),
    "use_input_stats": ("use_input_stats", "training", "is_training", "train"),
    "momentum": ("momentum", "exponential_average_factor", "decay", "decay_rate"),
    "p": ("p", "partial", "fraction", "part"),
    "dim": ("dim", "axis"),
    "affine": (
        "elementwise_affine", "affine", "use_affine", "use_scale", "learnable", "scale", "use_weight",
        "channelwise_affine", "create_scale", "weight_attr",
    ),
    "use_bias": ("bias", "use_bias", "beta", "shift", "create_offset", "bias_attr"),
    "track_running_stats": ("track_running_stats", "track"),
    "dy": ("dy", "dout", "grad_output", "grad", "gy", "grad_y", "dl_dy", "upstream", "gradient", "grad_out", "do"),
    "module": ("module", "m", "layer", "mod"),
    "name": ("name", "tensor_name", "parameter"),
    "backend": ("cudnn_enabled", "cudnn_enable", "use_cudnn"),
    "cache": ("cache", "saved", "ctx", "context", "state", "residuals"),
}  # fmt: skip
"""Role to the parameter names that have it, the most common first.

Names are compared in lower case, without leading and trailing underscores.
"""

ROLES_TO_NAME = (
    "input", "normalized_shape", "num_groups", "num_channels", "running_mean", "running_var", "weight", "bias",
    "training", "use_input_stats", "momentum", "eps", "p", "dim", "affine", "use_bias", "dy", "cache",
)  # fmt: skip
"""Roles that a message suggests for a parameter without a known role."""

WEIGHT_NAMES = {"input": ("v", "weight_v", "input", "w", "weight", "x"), "weight": ("g", "weight_g", "gain", "scale")}
"""The same for normalizers that act on weights: the input is v, the weight is g."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a callable."""

    name: str
    required: bool
    keyword: bool  # it can be passed by name
    default: str = ""  # its default value as code, where that is one which no array stands for: True, 3, "same"


@dataclass(frozen=True, slots=True)
class Binding:
    """The matched parameters of a callable, in its order, and the arguments that every call gets."""

    parameters: tuple[tuple[str, str, bool, bool], ...]  # role, name, required, can be passed by name
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def roles(self) -> frozenset[str]:
        return frozenset(role for role, *_ in self.parameters)

    def name(self, role: str) -> str:
        """The name of the parameter with a role; empty if there is none."""
        return next((name for r, name, *_ in self.parameters if r == role), "")

    def required(self, role: str) -> bool:
        return any(role == r and required for r, _, required, _ in self.parameters)

    def without(self, role: str) -> Binding:
        """The binding without a role, so that its parameter has its default value; a required parameter stays."""
        return replace(self, parameters=tuple(one for one in self.parameters if one[0] != role or one[2]))

    def arguments(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments from values by role.

        An optional parameter without a value is left out, or passed as None if a positional argument follows it.
        """
        args: list[Any] = list(self.args)
        kwargs: dict[str, Any] = dict(self.kwargs)
        last = max((i for i, (role, *_) in enumerate(self.parameters) if role in values), default=-1)
        for i, (role, name, required, keyword) in enumerate(self.parameters):
            if keyword:
                if role in values or required:
                    kwargs[name] = values.get(role)
            elif required or i < last or role in values:  # a positional argument before another one cannot be left out
                args.append(values.get(role))
        return args, kwargs


def from_signature(function: Callable[..., Any]) -> list[Parameter] | None:
    """The parameters of a Python callable; None if it has no signature, or no named parameters.

    `*args` and `**kwargs` stand for the parameters of the callable to which they are passed on.
    """
    found = forwarding.parameters(function)
    return [
        Parameter(
            p.name, p.default is p.empty, p.kind is not p.POSITIONAL_ONLY,
            repr(p.default) if isinstance(p.default, bool | int | float | str) else "",
        )
        for p in found or ()
    ] or None  # fmt: skip


def names_of(normalizer: Normalizer, role: str) -> tuple[str, ...]:
    """The parameter names that have a role for a normalizer."""
    if normalizer.acts_on == "weight" and role in WEIGHT_NAMES:
        return WEIGHT_NAMES[role]
    return NAMES[role]


def _first_letter(parameters: Sequence[Parameter], normalizer: Normalizer, fallback: str | None) -> dict[str, str]:
    """A first parameter named by one letter is the input, even if the letter is a name of another role: f(h, g, b)."""
    if fallback is None or not parameters or len(plain(parameters[0].name)) != 1:
        return {}
    known = names_of(normalizer, fallback)
    named = any(plain(p.name) in known for p in parameters)
    return {} if named else {parameters[0].name: fallback}


def plain(name: str) -> str:
    """A parameter name as it is compared: in lower case, without leading and trailing underscores."""
    return name.lower().strip("_")


def hint(parameter: str) -> str:
    """What to declare for a parameter that a form adds; empty for another one."""
    form = form_of(plain(parameter))
    return f"declare form={form} to check it with its {plain(parameter)}; " if form else ""


def bind(
    parameters: Sequence[Parameter],
    roles: Iterable[str],
    normalizer: Normalizer,
    target: str,
    *,
    fallback: str | None = None,
    more: Mapping[str, tuple[str, ...]] | None = None,
) -> Binding:
    """Match parameters to roles by name; the first required parameter without a known name gets the role `fallback`.

    target: the name of the callable, for messages. more: names of roles in addition to `NAMES`.

    Raises `UsageError`, with the names that would be understood, for a required parameter without a role.
    """
    wanted = list(roles)
    taken: dict[str, str] = _first_letter(parameters, normalizer, fallback)
    for role in wanted:
        if role in taken.values():
            continue
        known = names_of(normalizer, role) + (more or {}).get(role, ())
        best = min(
            (p for p in parameters if p.name not in taken and plain(p.name) in known),
            key=lambda p: known.index(plain(p.name)),
            default=None,
        )
        if best is not None:
            taken[best.name] = role
    if fallback is not None and fallback not in taken.values():
        unmatched = next((p for p in parameters if p.name not in taken and (p.required or p is parameters[0])), None)
        if unmatched is not None:
            taken[unmatched.name] = fallback
    unknown = [p.name for p in parameters if p.required and p.name not in taken]
    if unknown:
        understood = ", ".join(role for role in wanted if role in ROLES_TO_NAME)
        raise UsageError(
            f"{target}: as {normalizer.name} it gets no value for its parameter {unknown[0]!r}; give it a default, "
            f"or name it as one of {understood}; {hint(unknown[0])}{adapted(target)}"
        )
    return Binding(tuple((taken[p.name], p.name, p.required, p.keyword) for p in parameters if p.name in taken))


def given_roles(
    values: Mapping[str, Any],
    roles: Iterable[str],
    normalizer: Normalizer,
    *,
    more: Mapping[str, tuple[str, ...]] | None = None,
) -> dict[str, Any]:
    """The fixed arguments of a callable that have a role: the value by role, from values by parameter name."""
    parameters = [Parameter(name, required=False, keyword=True) for name in values]
    found = bind(parameters, roles, normalizer, "", more=more)
    return {role: values[name] for role, name, *_ in found.parameters}
