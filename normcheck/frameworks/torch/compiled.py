"""Calls of a layer that `torch.compile` has compiled: for one case, and for batches of several sizes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import cache, partial
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from normcheck.frameworks.guard import guarded
from normcheck.frameworks.torch.layer import Leaves, Prepare, PreparedLayer, requested_leaves, run_layer
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer

INDUCTOR, WITHOUT_CODE = "inductor", "aot_eager"
"""The compiler that generates code, and the one that traces and differentiates as it does, and generates none."""

GRAPH_BREAKS, COMPILED_AGAIN = "graph-breaks", "compiled-again"
"""What is weaker in compiled code: parts of it run in Python; each size of a batch is compiled."""

MORE = (1, 2, 4)
"""By how many cases other batches are larger: torch compiles for the first size, and from the second on for all."""

ENOUGH = 2
"""Compilations of a graph that takes batches of any size, for these sizes."""


@cache
def backend() -> str:
    """The compiler that works on this machine; `INDUCTOR` needs one of C++."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # noqa: PLC0415  # imports the compiler, for seconds

    try:
        get_cpp_compiler()
    except Exception:  # any of what a search for programs may raise: there is none
        return WITHOUT_CODE
    return INDUCTOR


def compiled(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """The layer compiled by `torch.compile` for this case alone."""
    layer = prepare(case)
    with _reset_after():
        made = torch.compile(_code(layer), backend=backend())
        found = run_layer(layer, case, gradient, lambda: _call(layer, made, layer.leaves))
    return replace(found, made_by=f"torch.compile, {backend()}")


def compiled_for_batches(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """The layer compiled once and called with larger batches of other values first, then with the case."""
    layer = prepare(case)
    requested_leaves(layer, case.use, gradient=gradient)
    with _reset_after(), kept_state(layer):
        remarks = _graph_breaks(layer, case)
    with _reset_after():
        counting = _Counting(backend())
        made = torch.compile(_code(layer), backend=counting)
        with kept_state(layer):
            for more in MORE:
                guarded(partial(_call, layer, made, larger(layer.leaves, more)), case, layer.name)
        found = run_layer(layer, case, gradient, lambda: _call(layer, made, layer.leaves))
    graphs = counting.most
    if graphs > ENOUGH:
        sizes = f"for batches of {len(MORE) + 1} sizes"
        remarks[COMPILED_AGAIN] = f"a part of it was compiled {graphs} times {sizes}; code for any size takes {ENOUGH}"
    return replace(found, remarks=remarks, made_by=f"torch.compile, {backend()}")


def _code(layer: PreparedLayer) -> Callable[..., Any]:
    """What a user compiles: the module or the function, and not what calls it here."""
    return layer.module or layer.code or layer.forward


def _call(layer: PreparedLayer, code: Callable[..., Any], leaves: Leaves) -> Any:
    """The return value of that code, or of what was compiled from it."""
    args, kwargs = layer.arguments(*leaves) if layer.module or layer.code else (leaves, {})
    return code(*args, **kwargs)


def larger(leaves: Leaves, more: int) -> Leaves:
    """Leaves with another input, which has more cases along its first axis; `more` may be 0."""
    x, weight, bias = leaves
    assert x is not None
    own = x.detach()
    made = 0.5 - 1.5 * torch.cat([own, *(own[i % len(own)].unsqueeze(0) for i in range(more))])
    return made.requires_grad_(x.requires_grad), weight, bias


@contextmanager
def kept_state(layer: PreparedLayer) -> Iterator[None]:
    """Calls that leave no trace: running statistics and other buffers have their values again after that."""
    held = [] if layer.module is None else list(layer.module.buffers())
    held += [one for one in (layer.mean, layer.var) if one is not None]
    values = [one.detach().clone() for one in held]
    try:
        yield
    finally:
        with torch.no_grad():
            for one, value in zip(held, values, strict=True):
                one.copy_(value)


@contextmanager
def silent() -> Iterator[None]:
    """What compilers and exporters print and log of their progress, and of missing packages, is not shown."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(before)


@contextmanager
def _reset_after() -> Iterator[None]:
    """What was compiled is forgotten after that: each case is compiled as the first one."""
    torch.compiler.reset()
    try:
        with silent():
            yield
    finally:
        torch.compiler.reset()


class _Counting:
    """A backend that compiles with another one, and counts for each piece of code how often that was done."""

    def __init__(self, name: str) -> None:
        from torch._dynamo import lookup_backend  # noqa: PLC0415  # imports the compiler, for seconds

        self._compile = lookup_backend(name)
        self._times: dict[str, int] = {}

    def __call__(self, graph: torch.fx.GraphModule, examples: list[torch.Tensor]) -> Callable[..., Any]:
        operators = " ".join(f"{node.op}:{node.target}" for node in graph.graph.nodes if node.op.startswith("call"))
        self._times[operators] = self._times.get(operators, 0) + 1
        made: Callable[..., Any] = self._compile(graph, examples)
        return made

    @property
    def most(self) -> int:
        """The most compilations of one piece of code."""
        return max(self._times.values(), default=0)


def _graph_breaks(layer: PreparedLayer, case: Case) -> dict[str, str]:
    """Where the code leaves the compiled graph for Python, as `torch._dynamo.explain` counts it."""
    from torch._dynamo import explain  # noqa: PLC0415  # imports the compiler, for seconds

    found = guarded(lambda: _call(layer, explain(_code(layer)), layer.leaves), case, layer.name)
    if not found.graph_break_count:
        return {}
    reasons = dict.fromkeys(map(_reason, found.break_reasons))
    return {GRAPH_BREAKS: f"{found.graph_break_count} graph breaks, where Python runs: {'; '.join(reasons)}"}


def _reason(one: Any) -> str:
    """The line of a graph break, and the first line of its reason."""
    where = f"{Path(one.user_stack[-1].filename).name}:{one.user_stack[-1].lineno}: " if one.user_stack else ""
    lines = str(one.reason).strip().splitlines()
    return f"{where}{lines[0].strip() if lines else 'no reason given'}"
