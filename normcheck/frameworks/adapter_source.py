"""The source of a wrapper as far as signatures and source show it, with places for what they leave open."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normcheck.core.foreign_code import ENDS, attribute
from normcheck.frameworks import forwarding
from normcheck.frameworks.call_source import import_lines
from normcheck.frameworks.fixed import fixed
from normcheck.frameworks.layers import CONFIGURATIONS, WIDTHS
from normcheck.frameworks.roles import NAMES, names_of, plain
from normcheck.normalizers.normalizer import Normalizer

FILL_IN = "# FILL IN"
"""The mark of a value that the signature does not show."""

NEUTRAL: Mapping[str, str] = {
    "zeros": "torch.zeros_like(x)",
    "ones": "torch.ones_like(x)",
    "zeros of a case": "torch.zeros(len(x), {units}, dtype=x.dtype)",
    "ones of a position": "torch.ones(x.shape[:-1], dtype=x.dtype)",
    "all positions": "torch.ones(x.shape[:-1], dtype=torch.bool)",
    "none": "None",
}
"""Source of values that change nothing in most layers: an added zero, a factor of one, a mask that hides nothing."""

UNITS = "self.units"
"""Where a wrapper of a class keeps its width."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A wrapper before the values are chosen.

    lines: its source; the call of the target stands in the last line of a function as `return`, marked by `RETURNED`.
    more: the names of the further inputs. adapted: the name that the source defines. units: source of the width.
    unknown: values that no trial can settle.
    """

    lines: tuple[str, ...]
    more: tuple[str, ...]
    adapted: str
    units: str
    unknown: tuple[str, ...] = ()

    def text(self, values: Mapping[str, str], pick: str, *, sure: bool) -> str:
        """The source with values from `NEUTRAL` for the further inputs, and `pick` around the call of the target.

        not sure: the further inputs are marked.
        """
        mark = "" if sure else f"  {FILL_IN}: a value that leaves the output as it is"
        given = {name: NEUTRAL[value].format(units=self.units) for name, value in values.items()}
        out = []
        for line in self.lines:
            indent, found, call = line.partition(RETURNED)
            if found:
                out += [f"{indent}{name} = {value}{mark}" for name, value in given.items()]
                moved = call.replace("(x", "(x.transpose(1, -1)")
                out.append(f"{indent}return {pick.replace(MOVED, moved).replace(CALL, call)}")
            elif not line.strip().startswith(f"{UNITS} = ") or any(UNITS in value for value in given.values()):
                out.append(line)
        return "\n".join(out)


CALL, MOVED, RETURNED = "CALL", "MOVED", "RETURNED "
"""Places of the call of the target, with its input or with that input's last axis as axis 1; mark of the last line."""


def of_layer(target: str, loaded: Any, normalizer: Normalizer) -> Sketch:
    """A wrapper of a module class or module."""
    lines, name = import_lines(target)
    given = fixed(loaded)
    kind = given.inner if inspect.isclass(given.inner) else type(given.inner)
    more, call = _further(attribute(kind, "forward"), skipped=2)
    adapted = f"Adapted{kind.__name__}"
    units, width = _width(normalizer)
    taken: dict[str, str] = {}
    unknown: list[str] = []
    options: list[str] = []
    parameters = [] if kind is not given.inner else list(forwarding.parameters(given.inner) or ())
    free = [p for p in parameters[len(given.args) :] if p.name not in given.kwargs]
    made = [*map(repr, given.args), *(f"{key}={value!r}" for key, value in given.kwargs.items())]
    for p in free:
        own = _argument(p.name, units, width, normalizer)
        if p.default is p.empty and plain(p.name) in CONFIGURATIONS:
            options = _options(given.inner, p.name, units, width, normalizer, taken, unknown)
            made.append(f"{p.name}={p.name}")
        elif own:
            taken[own] = taken.get(own) or own + ("" if p.default is p.empty or own == units else f"={p.default!r}")
            made.append(f"{p.name}={own}")
        elif p.default is p.empty:
            made.append(f"{p.name}={_required(p.name, units, taken, unknown)}")
    is_class = kind is given.inner
    head = ["self", *sorted(taken.values(), key=lambda one: "=" in one)] if is_class else ["self"]
    inner = f"{name}({', '.join(made)})" if is_class else name
    first = {"import torch": None, **dict.fromkeys(("from types import SimpleNamespace",) if options else ())}
    body = [
        *first, *lines, "", "", f"class {adapted}(torch.nn.Module):",
        f'    """{name} as a {normalizer.name}."""', "",
        f"    def __init__({', '.join(head)}):", "        super().__init__()",
        *(f"        {line}" for line in options), f"        self.inner = {inner}",
        *(f"        {FILL_IN}: the value of {one}" for one in unknown if not one.startswith("config.")),
        *((f"        {UNITS} = {units}",) if units in taken and any(more) else ()),
        "", "    def forward(self, x):",
    ]  # fmt: skip
    body.append(f"        {RETURNED}self.inner(x{call})")
    size = UNITS if units in taken else "x.shape[-1]"
    if not is_class:
        body += ["", "", f"adapted = {adapted}()"]
    return Sketch(tuple(body), more, adapted if is_class else "adapted", size, tuple(unknown))


def _width(normalizer: Normalizer) -> tuple[str, tuple[str, ...]]:
    """The name of the wrapper's width, and the names that it has elsewhere."""
    role = "normalized_shape" if normalizer.sets.layout == "trailing" else "num_channels"
    return role, (*NAMES["normalized_shape"], *NAMES["num_channels"], *WIDTHS)


def _argument(name: str, units: str, width: Sequence[str], normalizer: Normalizer) -> str:
    """The wrapper's argument that has a parameter's role; empty if none has."""
    if plain(name) in width:
        return units
    roles = ["eps"] if normalizer.eps is not None else []
    roles += ["momentum"] if normalizer.state else []
    roles += ["num_groups"] if "num_groups" in normalizer.arguments else []
    return next((role for role in roles if plain(name) in names_of(normalizer, role)), "")


def _required(name: str, units: str, taken: dict[str, str], unknown: list[str]) -> str:
    """The value of a required parameter without a role: a size is taken for the width, everything else is open."""
    if any(part in plain(name) for part in ("dim", "size", "features", "channels", "width", "shape", "units")):
        taken[units] = units
        return units
    unknown.append(name)
    return "..."


def _options(
    target: Any,
    parameter: str,
    units: str,
    width: Sequence[str],
    normalizer: Normalizer,
    taken: dict[str, str],
    unknown: list[str],
) -> list[str]:
    """The lines that make an object with the options that the constructor reads."""
    defaults = {"eps": f"eps={normalizer.eps!r}", "momentum": "momentum=0.1"}
    pairs: list[tuple[str, str]] = []
    for name in _read_options(target, parameter):
        own = _argument(name, units, width, normalizer)
        if own:
            taken[own] = taken.get(own) or defaults.get(own, own)
            pairs.append((name, own))
        else:
            unknown.append(f"config.{name}")
            pairs.append((name, "..."))
    if not any(value == "..." for _, value in pairs):
        return [f"{parameter} = SimpleNamespace({', '.join(f'{name}={value}' for name, value in pairs)})"]
    rows = [f"    {name}={value},{f'  {FILL_IN}' if value == '...' else ''}" for name, value in pairs]
    return [f"{parameter} = SimpleNamespace(", *rows, ")"]


def _read_options(target: Any, parameter: str) -> Iterator[str]:
    """The attributes of a parameter that a constructor reads, in the order of its source."""
    try:
        source = textwrap.dedent(inspect.getsource(target.__init__))
        tree = ast.parse(source)
    except ENDS:
        raise
    except BaseException:
        return
    read = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
    read.sort(key=lambda n: (n.lineno, n.col_offset))
    yield from dict.fromkeys(n.attr for n in read if isinstance(n.value, ast.Name) and n.value.id == parameter)


def _further(function: Any, *, skipped: int) -> tuple[tuple[str, ...], str]:
    """The required parameters of a function behind the first ones, and the source that passes them."""
    found = [p for p in list(forwarding.parameters(function) or ())[skipped:] if p.default is p.empty]
    call = "".join(f", {p.name}" if p.kind is p.POSITIONAL_ONLY else f", {p.name}={p.name}" for p in found)
    return tuple(p.name for p in found), call


def of_function(target: str, loaded: Any, normalizer: Normalizer) -> Sketch:
    """A wrapper of a function."""
    lines, name = import_lines(target)
    given = fixed(loaded)
    adapted = f"adapted_{name.rpartition('.')[2]}"
    own: list[str] = []
    passed = [*map(repr, given.args), *(f"{key}={value!r}" for key, value in given.kwargs.items())]
    more: list[str] = []
    roles: set[str] = set()
    parameters = list(forwarding.parameters(given.inner) or ())[len(given.args) :]
    for p in (p for p in parameters if p.name not in given.kwargs):
        role = next(
            (r for r in normalizer.arguments if r not in roles and plain(p.name) in names_of(normalizer, r)), ""
        )
        role = role or ("input" if not roles and p.default is p.empty else "")
        if role:
            roles.add(role)
            written = "x" if role == "input" else role
            own.append(written if p.default is p.empty else f"{written}={p.default!r}")
            passed.append(f"{p.name}={written}" if p.kind is not p.POSITIONAL_ONLY else written)
        elif p.default is p.empty:
            more.append(p.name)
            passed.append(f"{p.name}={p.name}" if p.kind is not p.POSITIONAL_ONLY else p.name)
    own.sort(key=lambda one: "=" in one)
    body = ["import torch", *lines, "", "", f"def {adapted}({', '.join(own)}):",
            f'    """{name} as a {normalizer.name}."""']  # fmt: skip
    body.append(f"    {RETURNED}{name}({', '.join(passed)})")
    return Sketch(tuple(body), tuple(more), adapted, "x.shape[-1]")
