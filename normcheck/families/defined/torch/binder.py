"""Implementations of defined normalizers in torch: functions and module classes, bound by the names of parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from normcheck.core.claim import Implementation
from normcheck.core.contract import contract, words
from normcheck.core.errors import CallError, UsageError, lacking_gradient
from normcheck.core.floats import Array
from normcheck.core.foreign_code import quiet
from normcheck.core.layouts import applies
from normcheck.families.defined import fixed_constants
from normcheck.families.defined.axis import FULL, moved
from normcheck.families.defined.case import COTANGENT, DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.space import DEFAULTS, DefinedDraw, DefinedSpace, defined_case
from normcheck.families.defined.subject import ORDERS, DefinedDomain, DefinedSubject
from normcheck.families.defined.torch import parameters, weight_layers
from normcheck.families.defined.torch.layer import DefinedLayer, Make, Tensors
from normcheck.frameworks.guard import calling
from normcheck.frameworks.load import loaded
from normcheck.frameworks.roles import NAMES, WEIGHT_NAMES, from_signature
from normcheck.frameworks.torch.tensors import DTYPES, array, tensor_in_layout

KEYS = ("axis", "eps", "eps-format", "formats", "slack")
"""Conventions that a defined normalizer has."""

INPUT = "input"
SIZES = {
    "units": tuple(dict.fromkeys(("out_features", *NAMES["normalized_shape"], *NAMES["num_channels"]))),
    "inputs": ("in_features", "n_in", "inputs"),
}
"""What a constructor takes beside constants, with the names that code gives to it."""


def _names(entry: DefinedNormalizer) -> dict[str, tuple[str, ...]]:
    """Each argument of an entry, with the names that code gives to it: its own first, so that no other takes it."""
    own = {name: (name, *entry.aliases.get(name, ())) for name in (*entry.parameters, *entry.constants)}
    words = WEIGHT_NAMES if entry.layout == "rows" else NAMES
    inputs = tuple(name for name in words["input"] if name not in entry.parameters)
    return {INPUT: inputs, **{name: (*one, *NAMES.get(name, ())) for name, one in own.items()}}


def _matched(target: Any, known: Mapping[str, tuple[str, ...]], entry: DefinedNormalizer, name: str) -> dict[str, str]:
    """The parameter's name for each argument. Raises `UsageError` for a required parameter that is none."""
    out: dict[str, str] = {}
    parameters = from_signature(target) or ()
    for exact in (True, False):
        for p in parameters:
            word = p.name.lower().strip("_")
            free = [role for role in known if role not in out and p.name not in out.values()]
            role = next((r for r in free if (word == r.lower() if exact else word in known[r])), "")
            if role:
                out[role] = p.name
    for p in parameters:
        if p.required and p.name not in out.values():
            raise UsageError(
                f"{name} requires {p.name}, which is no argument of {entry.name}; known: {', '.join(known)}"
            )
    return out


def _function(target: Any, roles: Mapping[str, str]) -> Make:
    def make(held: Tensors, _case: DefinedCase) -> DefinedLayer:
        def call(x: torch.Tensor, case: DefinedCase) -> Any:
            values = {**held, **case.constants}
            return target(x, **{roles[role]: value for role, value in values.items() if role in roles})

        return DefinedLayer(call, lambda: held, frozenset(name for name in held if name in roles))

    return make


def _module(target: Any, entry: DefinedNormalizer, roles: Mapping[str, str]) -> Make:
    def make(held: Tensors, case: DefinedCase) -> DefinedLayer:
        last = 1 if case.units_first else -1
        units = case.x.shape[{"trailing": last, "channels": 1}.get(entry.layout, 0)]
        if entry.layout == "linear":
            units = case.dy.shape[1]
        arrays = {role: held[role] for role in entry.state if role in roles}
        values = {"units": units, "inputs": case.x.shape[-1], **case.constants, **arrays}
        module = target(**{roles[role]: value for role, value in values.items() if role in roles})
        module = module.to(DTYPES[case.format.name]).train()
        own = parameters.by_name(module, held, entry)
        given = {role: (role,) for role in held if role not in own and role not in arrays}
        later = {role: (role,) for role in entry.constants if role not in roles}
        names = _matched(module.forward, {INPUT: NAMES["input"], **given, **later}, entry, "its forward")
        own |= parameters.by_size(module, {role: held[role] for role in given if role not in names}, own, entry)
        with torch.no_grad():
            for role, there in parameters.named(module, own, entry).items():
                there.copy_(held[role].reshape(there.shape))

        def call(x: torch.Tensor, case: DefinedCase) -> Any:
            values = {**{role: held[role] for role in given}, **{role: case.constants[role] for role in later}}
            return module(x, **{names[role]: value for role, value in values.items() if role in names})

        takes = frozenset(role for role in (*held, *later) if role in own or role in names or role in arrays)
        return DefinedLayer(call, lambda: {**held, **parameters.named(module, own, entry)}, takes)

    return make


@dataclass(frozen=True, slots=True)
class DefinedCaller:
    """Calls layers of a target."""

    make: Make
    name: str
    entry: DefinedNormalizer
    state: bool  # whether the state is kept

    def _input(self, case: DefinedCase, *, gradient: bool) -> torch.Tensor:
        x, _ = tensor_in_layout(case.x, DTYPES[case.format.name], case.order)
        return x.requires_grad_(gradient)

    def new(self, case: DefinedCase, *, gradient: bool) -> DefinedLayer:
        dtype = DTYPES[case.format.name]
        dtypes = dict.fromkeys(self.entry.groups, torch.long)
        held = {name: torch.tensor(v.copy(), dtype=dtypes.get(name, dtype)) for name, v in case.arrays.items()}
        for name in self.entry.trained:
            held[name].requires_grad_(gradient)
        with calling(case, self.name):
            return self.make(held, case)

    def output(self, layer: DefinedLayer, x: torch.Tensor, case: DefinedCase) -> torch.Tensor:
        with calling(case, self.name):
            y = layer.call(x, case)
        y = y[0] if isinstance(y, (tuple, list)) and y else y
        if not isinstance(y, torch.Tensor) or tuple(y.shape) != case.dy.shape:
            got = f"a tensor of shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
            raise CallError(f"{self.name} returned {got} for an input of shape {case.x.shape}, not {case.dy.shape}")
        return y

    def call(self, case: DefinedCase, gradient: bool) -> DefinedAnswer:
        layer, x = self.new(case, gradient=gradient), self._input(case, gradient=gradient)
        before = {name: p.detach().clone() for name, p in layer.parameters().items()}
        y = self.output(layer, x, case)
        out = array(y)
        dy = torch.tensor(case.dy, dtype=y.dtype)
        grads = self._gradients(layer, x, y, dy, case) if gradient else {}
        after = layer.parameters()
        stored = {name: before[name].reshape(p.shape) for name, p in after.items()}
        changed = tuple(name for name, p in after.items() if not torch.equal(p.detach(), stored[name]))
        if not torch.equal(x.detach(), torch.tensor(case.x, dtype=x.dtype)):
            changed = ("x", *changed)
        if not torch.equal(dy, torch.tensor(case.dy, dtype=y.dtype)):
            changed = (COTANGENT, *changed)
        kept = self.entry.state if self.state else ()
        state = {name: array(after[name]).reshape(case.arrays[name].shape) for name in kept}
        return DefinedAnswer(out, grads, state, changed)

    def _gradients(
        self, layer: DefinedLayer, x: torch.Tensor, y: torch.Tensor, dy: torch.Tensor, case: DefinedCase
    ) -> dict[str, Array]:
        leaves = {"x": x, **{name: p for name, p in layer.parameters().items() if name in self.entry.trained}}
        if not y.requires_grad:
            raise CallError(f"{self.name} returned an output that does not require grad", "the output has no gradient")
        with calling(case, self.name, " in its backward"):
            found = torch.autograd.grad(y, list(leaves.values()), dy, allow_unused=True)
        zeros = {
            name: torch.zeros_like(leaf) if g is None else g
            for (name, leaf), g in zip(leaves.items(), found, strict=True)
        }
        shapes = {name: case.x.shape if name == "x" else case.arrays[name].shape for name in zeros}
        return {name: array(g).reshape(shapes[name]) for name, g in zeros.items()}

    def successive(self, cases: Sequence[DefinedCase]) -> tuple[DefinedAnswer, ...]:
        layer = self.new(cases[0], gradient=False)
        with torch.no_grad():
            outputs = [self.output(layer, self._input(c, gradient=False), c) for c in cases]
        return tuple(DefinedAnswer(array(y)) for y in outputs)  # read at the end: a later call may have written to them


def subject(claim: Implementation, entry: DefinedNormalizer) -> DefinedSubject:
    """Bind an implementation.

    Raises `UsageError` if the target cannot be loaded or bound, or the normalizer has no such convention; `CallError`
    if it fails on every ordinary input.
    """
    promised = contract(claim.contract)
    for key in words(promised):
        if key not in KEYS:
            raise UsageError(f"contract {key}: {entry.name} has no such convention; known: {', '.join(KEYS)}")
    with quiet():
        target = loaded(claim.target)
        if not callable(target) or isinstance(target, torch.nn.Module):
            raise UsageError(f"{claim.name} is no function or module class: name what is called or constructed")
        known = _names(entry)
        if inspect.isclass(target):
            built = {name: known[name] for name in (*entry.constants, *sorted(entry.state))} | SIZES
            layer = weight_layers.of_class(target, entry, {name: known[name] for name in entry.constants})
            if layer is None:
                roles = _matched(target, built, entry, claim.name)
                layer = _module(target, entry, roles), frozenset(roles)
            make, takes = layer[0], {*layer[1], *(set(entry.parameters) - set(entry.neutral))}
        else:
            roles = _matched(target, known, entry, claim.name)
            if INPUT not in roles:
                raise UsageError(f"{claim.name} has no parameter for the input; name it {known[INPUT][0]}")
            make, takes = _function(target, roles), set(roles)
        caller = DefinedCaller(make, claim.name, entry, entry.update is not None)
        takes |= _taken(caller)
        missing = frozenset(name for name in entry.parameters if name not in takes)
        for name in entry.parameters:
            if name in missing and name not in entry.neutral:
                raise UsageError(f"{claim.name} takes no {name}, which {entry.name} has; known: {', '.join(known)}")
        found = {*takes, *entry.groups.values()}  # the number of groups follows from the numbers of groups
        fixed = {name: value for name, value in entry.constants.items() if name not in found}
        if promised.eps is not None:
            fixed["eps"] = promised.eps
        served = tuple(f for f in promised.served if f in DefinedDomain().formats)
        domain = DefinedDomain(served, entry.served, fixed, missing)
        bound = DefinedSubject(claim.name, entry, promised, domain, caller.call, caller.successive)
        bound = _on_its_axis(bound)
        return bound if promised.eps is not None else _with_its_constants(bound)


def _taken(caller: DefinedCaller) -> frozenset[str]:
    """What a layer takes, seen on one; nothing if none can be made."""
    try:
        return caller.new(defined_case(caller.entry, DefinedDraw(option=DEFAULTS)), gradient=False).takes
    except CallError:
        return frozenset()


def _on_its_axis(bound: DefinedSubject) -> DefinedSubject:
    """The subject with what it accepts. Its units are in the last axis, or in axis 1 if so more ranks are accepted."""
    failure: CallError | None = None
    usual: DefinedSubject | None = None
    if bound.contract.axis != "1":
        try:
            usual = replace(bound, domain=_discovered(bound))
        except CallError as error:
            failure = error
    if bound.entry.layout != "trailing" or (usual is not None and FULL in usual.domain.ranks):
        if usual is None:
            raise failure or UsageError(f"contract axis=1: {bound.entry.name} does not have its units in the last axis")
        return usual
    try:
        other = _in_axis_1(bound)
    except CallError as error:
        if usual is None:
            raise failure or error from None
        return usual
    return usual if usual is not None and len(usual.domain.ranks) >= len(other.domain.ranks) else other


def _with_its_constants(bound: DefinedSubject) -> DefinedSubject:
    """The subject with the constants that its code has, as far as these can be told."""
    constants = fixed_constants.measured(bound)
    domain = bound.domain
    absent = {name: f"takes no {name}; the fixed one is {_said(value)}" for name, value in constants.items()}
    fixed = {**domain.fixed, **constants}
    return replace(bound, domain=replace(domain, fixed=fixed, absent={**domain.absent, **absent}))


def _said(value: Any) -> str:
    """A constant in a sentence."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _in_axis_1(bound: DefinedSubject) -> DefinedSubject:
    """The subject with its units in axis 1. What takes maps alone is called with maps of one position for vectors."""
    able = _discovered(moved(bound))
    if not able.ranks:
        raise CallError(f"{bound.name} takes no input with its units in axis 1")
    other = moved(bound, min(able.ranks))
    return replace(other, domain=_discovered(other))


def _why(bound: DefinedSubject, *, gradient: bool = False, **choices: Any) -> str:
    """Why a call on an ordinary case fails; empty if it does not."""
    space = DefinedSpace()
    units = next((n for n in bound.entry.units if n not in space.cases), 0)  # else a wrong axis may fit
    plain = space.adapt(bound, replace(DefinedDraw(option=DEFAULTS), **choices))
    try:
        bound.call(defined_case(bound.entry, replace(plain, units=units, **choices)), gradient)
    except CallError as error:
        return error.reason
    return ""


def _discovered(bound: DefinedSubject) -> DefinedDomain:
    """What it accepts, by calling it."""
    able = bound.domain
    rank = dict.fromkeys(able.ranks, "")
    formats = {f: _why(bound, format=f) for f in able.formats}
    served = tuple(f for f, why in formats.items() if not why)
    if not served:
        tried = {r: _why(bound, rank=r) for r in able.ranks}
        if all(tried.values()):
            raise CallError(next(iter(formats.values()), "none of the formats that the contract claims is known"))
    served = served or able.formats
    rank = {r: _why(bound, rank=r, format=served[0]) for r in able.ranks}
    ranks = tuple(r for r, why in rank.items() if not why)
    gradient = lacking_gradient(_why(bound, gradient=True, format=served[0], rank=ranks[0])) if ranks else ""
    some = tuple(o for o in ORDERS if ranks and applies((6,) * max(ranks), o))
    orders = {o: next(filter(None, (_why(bound, order=o, format=served[0], rank=r) for r in ranks)), "") for o in some}
    refused = [o for o, why in orders.items() if why]
    what = "layouts" if len(refused) == len(orders) else f"inputs {', '.join(refused)}"
    layouts = {what: orders[refused[0]]} if refused else {}
    constants = {name: f"takes no {name}: {value} is assumed" for name, value in able.fixed.items()}
    neutral = bound.entry.neutral
    constants |= {name: f"takes no {name}: {neutral[name]:g} is assumed" for name in sorted(able.missing)}
    lacking = {**formats, **{f"rank {r}": why for r, why in rank.items()}, "gradient": gradient, **layouts, **constants}
    absent = {what: why for what, why in lacking.items() if why}
    taken = tuple(o for o in orders if o not in refused)
    return replace(able, formats=served, ranks=ranks, orders=taken, gradient=not gradient, absent=absent)
