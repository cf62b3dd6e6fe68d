"""Recurrent nets as torch.nn.LSTM is written: built for the sizes of each case, filled, called, differentiated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from normcheck.core.errors import IN_BACKWARD, CallError, UsageError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import ENDS, first_line
from normcheck.families.recurrent.case import InitialNet, RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.entry import Recurrent
from normcheck.families.recurrent.torch.names import NamedTensors, fill, named_tensors, written
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.roles import Parameter, from_signature, plain
from normcheck.frameworks.torch import tensors

CONSTRUCTOR = {
    "input_size": ("input_size", "input_dim", "in_features", "inputs", "n_in", "d_in", "num_inputs"),
    "hidden_size": ("hidden_size", "hidden_dim", "out_features", "units", "hidden", "n_hidden", "d_model", "num_units"),
    "max_length": ("max_length", "max_len", "t_max", "tmax", "max_steps", "num_steps", "steps", "timesteps", "seq_len",
                   "sequence_length", "max_seq_len"),
    "eps": ("eps", "epsilon", "variance_epsilon", "norm_eps", "layer_norm_eps"),
    "momentum": ("momentum",),
    "batch_first": ("batch_first",),
}  # fmt: skip
"""What a constructor may take, and the names under which it takes it."""

VARIADIC = [Parameter(name, required=True, keyword=True) for name in ("input_size", "hidden_size")]
"""What a constructor (*args, **kwargs) is given: torch.nn.LSTM and its subclasses have no other signature."""

FORWARD = {
    "input": ("input", "x", "inputs", "xs", "sequence", "seq"),
    "hx": ("hx", "hidden", "state", "states", "h0", "h_0", "initial_state", "init_state", "init_states"),
    "lengths": ("lengths", "length", "seq_lengths", "input_lengths", "seq_lens", "lens"),
}
"""What a call may take, and the names under which it takes it."""


def _by_role(parameters: list[Parameter], names: Mapping[str, tuple[str, ...]], name: str, what: str) -> dict[str, str]:
    """The parameter's name for each role. Raises `UsageError` for a required parameter that has no role."""
    out = {role: p.name for role, known in names.items() for p in parameters if plain(p.name) in known}
    unknown = [p.name for p in parameters if p.required and p.name not in out.values()]
    if unknown:
        raise UsageError(f"{name}: {what} gets no value for {unknown[0]!r}; give it a default, or name it as one of "
                         f"{', '.join(names)}")  # fmt: skip
    return out


def leaves_of(case: RecurrentCase, *, gradient: bool = False) -> dict[str, torch.Tensor]:
    """Inputs and first states of a case as new tensors, by name."""
    return {
        name: torch.tensor(value, dtype=tensors.DTYPES[case.format.name], requires_grad=gradient)
        for name, value in (("x", case.x), ("h", case.h), ("c", case.c))
        if value is not None
    }


class Builder:
    """Builds the net of a case and calls it."""

    def __init__(self, target: Any, entry: Recurrent, name: str) -> None:
        self.target, self.entry, self.name = target, entry, name
        self.built = _by_role(from_signature(target) or VARIADIC, CONSTRUCTOR, name, "its constructor")
        forward = getattr(target, "forward", None)
        self.called = _by_role((from_signature(forward) or [])[1:], FORWARD, name, "its forward") if forward else {}
        self.flat = False  # states have no axis of layers

    def build(self, case: RecurrentCase) -> torch.nn.Module:
        """A new net of the case's sizes. Raises `UsageError` if its constructor raises, or returns no module."""
        values = {
            "input_size": int(case.x.shape[-1]), "hidden_size": case.units, "max_length": case.slots,
            "eps": case.eps, "momentum": case.momentum, "batch_first": case.batch_first,
        }  # fmt: skip
        given = {self.built[role]: value for role, value in values.items() if role in self.built}
        try:
            module = self.target(**given)
        except ENDS:
            raise
        except BaseException as error:
            raise UsageError(f"{self.name}: its constructor raised {first_line(error)} for {given}") from None
        if not isinstance(module, torch.nn.Module):
            raise UsageError(f"{self.name} builds a {type(module).__name__}, no torch.nn.Module")
        return module.to(tensors.DTYPES[case.format.name])

    def ready(self, case: RecurrentCase) -> tuple[torch.nn.Module, NamedTensors]:
        """A net with the parameters, statistics and mode of a case."""
        module = self.build(case)
        found = named_tensors(module, self.entry, self.name)
        with torch.no_grad():
            for role, value in case.parameters.items():
                held = found.trained[role]
                if tuple(held.shape) != value.shape:
                    raise CallError(f"{self.name} has {written(role)} of shape {tuple(held.shape)}, not {value.shape}")
                held.copy_(torch.tensor(value))
            for kind, kept in (("mean", case.means), ("var", case.variances)):
                for place, values in kept.items():
                    if f"{kind}_{place}" in found.kept:
                        fill(found.kept[f"{kind}_{place}"], values, self.name)
        return module.train(case.training), found

    def _state(self, case: RecurrentCase, leaves: dict[str, torch.Tensor]) -> Any:
        states = [leaves[name] if self.flat else leaves[name][None] for name in ("h", "c") if name in leaves]
        return states[0] if case.c is None else tuple(states)

    def returned(self, module: torch.nn.Module, case: RecurrentCase, leaves: dict[str, torch.Tensor]) -> Any:
        """What the module returns for the leaves; any exception becomes a `CallError` in one sentence."""
        x = leaves["x"].transpose(0, 1) if case.batch_first else leaves["x"]
        given: dict[str, Any] = {}
        if case.h is not None:
            given[self.called["hx"]] = self._state(case, leaves)
        if case.lengths is not None:
            given[self.called["lengths"]] = torch.from_numpy(case.lengths.copy())
        as_case: Any = case
        return guarded(lambda: module(x, **given), as_case, self.name)

    def outputs(self, case: RecurrentCase, returned: Any) -> dict[str, torch.Tensor]:
        """Outputs, (steps, cases, units), and last states, (cases, units), by name."""
        y, last = returned if isinstance(returned, (tuple, list)) and len(returned) == 2 else (returned, None)
        size = (case.steps, case.cases, case.units)
        seen = (size[1], size[0], size[2]) if case.batch_first else size
        if not isinstance(y, torch.Tensor) or tuple(y.shape) != seen:
            got = f"a tensor of shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
            raise CallError(f"{self.name} returned {got}, not outputs of shape {seen} and the last state")
        out = {"y": y.transpose(0, 1) if case.batch_first else y}
        states = last if isinstance(last, (tuple, list)) else [last]
        for name, value in zip(self.entry.cell.states, states, strict=False):
            if isinstance(value, torch.Tensor):
                if value.numel() != case.cases * case.units:
                    raise CallError(f"{self.name} returned a state of shape {tuple(value.shape)}")
                out[name] = value.reshape(case.cases, case.units)
        return out

    def call(self, case: RecurrentCase, gradient: bool) -> RecurrentAnswer:
        """One call, and one backward through time."""
        module, found = self.ready(case)
        leaves = leaves_of(case, gradient=gradient)
        before = {name: value.detach().clone() for name, value in leaves.items()}
        out = self.outputs(case, self.returned(module, case, leaves))
        changed = tuple(f"{name} was written to" for name in leaves if not torch.equal(leaves[name], before[name]))
        grads = self._gradients(case, found, leaves, out) if gradient else {}
        arrays = {name: tensors.array(value) for name, value in out.items()}
        name = tensors.NAMES.get(out["y"].dtype, str(out["y"].dtype))
        return RecurrentAnswer(
            arrays.pop("y"), name, arrays, grads, found.statistics("mean"), found.statistics("var"), changed
        )

    def _gradients(
        self, case: RecurrentCase, found: NamedTensors, leaves: dict[str, torch.Tensor], out: dict[str, torch.Tensor]
    ) -> dict[str, Array]:
        pairs = [(out[name], dy) for name, dy in (("y", case.dy), ("h", case.dh), ("c", case.dc))
                 if dy is not None and name in out and out[name].requires_grad]  # fmt: skip
        asked = {**leaves, **{role: p for role, p in found.trained.items() if p.requires_grad}}
        if not pairs:
            raise CallError(f"{self.name} returned outputs that do not require grad")
        total = sum((y * torch.tensor(dy, dtype=y.dtype)).sum() for y, dy in pairs)
        as_case: Any = case
        got = guarded(
            lambda: torch.autograd.grad(total, list(asked.values()), allow_unused=True),  # type: ignore[arg-type]
            as_case, self.name, IN_BACKWARD,
        )  # fmt: skip
        return {
            name: np.zeros(tuple(leaf.shape)) if value is None else tensors.array(value)
            for (name, leaf), value in zip(asked.items(), got, strict=True)
        }

    def initial(self, case: RecurrentCase) -> InitialNet:
        """A new net."""
        found = named_tensors(self.build(case), self.entry, self.name)
        known = (*self.entry.parameters, "bias_hh")
        return InitialNet(
            {role: tensors.array(value) for role, value in found.trained.items()},
            found.statistics("mean"),
            found.statistics("var"),
            tuple(written(role) for role, p in found.trained.items() if role not in known and p.requires_grad),
        )

    def reloaded(self, case: RecurrentCase) -> RecurrentAnswer:
        """The answer, in evaluation, of a net that loaded the saved state of one that was trained on the case."""
        first, kept = self.ready(case)
        leaves = leaves_of(case)
        with torch.no_grad():
            self.returned(first, case, leaves)
            second = self.build(case)
            as_case: Any = case
            guarded(lambda: second.load_state_dict(first.state_dict()), as_case, self.name)
            found = self.outputs(case, self.returned(second.eval(), case, leaves))
        arrays = {name: tensors.array(value) for name, value in found.items()}
        y = arrays.pop("y")
        return RecurrentAnswer(y, case.format.name, arrays, {}, kept.statistics("mean"), kept.statistics("var"))
