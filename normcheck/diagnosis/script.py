"""A finding as a script of plain torch with exact numbers: it shows the failure without normcheck.

The script writes the reference as the formula in float64 and prints the largest difference beside what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.result import Comparison
from normcheck.core.uses import PLAIN
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import gradients_within, output_within
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.subject import Answer, Subject

NUMBERS = 48
"""Entries of the input up to which a script is written: a longer one is hard to read."""

GRADIENTS = {"y": "", "dx": "x", "dweight": "weight", "dbias": "bias"}
"""The arrays that a script compares, and the leaf whose gradient each is."""


def script(subject: Subject, case: Case) -> tuple[str, ...]:
    """The lines; empty if the answer is within its bounds, or if the case cannot be written in a few lines."""
    if not _writable(subject, case) or subject.domain.spell is None:
        return ()
    worst = _wrong(subject, case)
    if worst is None:
        return ()
    name, found = worst
    back = GRADIENTS[name]
    lines = ["import torch", *_arrays(case, back), *subject.domain.spell(case), *_reference(subject, case, back)]
    difference = "y.double() - exact"
    if back:
        lines.append(f"got, = torch.autograd.grad(y, {back}, dy, materialize_grads=True)")
        lines.append(f"want, = torch.autograd.grad(exact, {back.upper()}, dy.double())")
        difference = "got.double() - want"
    lines.append(f"print(({difference}).abs().max())  # {found.observed:.3g}; allowed {found.allowed:.3g}")
    return tuple(lines)


def _writable(subject: Subject, case: Case) -> bool:
    plain = case.use == PLAIN and not any(layout != "contiguous" for layout in case.layouts.values())
    n = subject.normalizer
    return plain and case.x.size <= NUMBERS and case.training and not n.partial and subject.contract.gradient == "full"


def _wrong(subject: Subject, case: Case) -> tuple[str, Comparison] | None:
    """Name and comparison of an array of the answer that is beyond its bound, the output before gradients."""
    try:
        answer = subject.call(case, subject.domain.gradient and case.dy is not None)
    except CallError:
        return None
    beyond = [(name, one) for name, one in _compared(subject, case, answer) if not one.holds]
    return max(beyond, key=lambda pair: (pair[0] == "y", pair[1].bound_ratio), default=None)


def _compared(subject: Subject, case: Case, answer: Answer) -> Iterator[tuple[str, Comparison]]:
    truth = evaluate(subject.normalizer, case, subject.contract)
    yield "y", output_within(subject, truth, answer.y, "")
    if answer.dx is not None and truth.dx is not None:
        for one in gradients_within(subject, truth, answer, ""):
            yield one.law.partition(",")[0], one


def _tensor(array: Array, case: Case, *, leaf: bool) -> str:
    return f"torch.tensor({array.tolist()}, dtype=torch.{case.format.name}{', requires_grad=True' if leaf else ''})"


def _arrays(case: Case, back: str) -> Iterator[str]:
    for name in ("x", "weight", "bias"):
        value = getattr(case, name)
        if value is not None:
            yield f"{name} = {_tensor(value, case, leaf=bool(back))}"
    if back and case.dy is not None:
        yield f"dy = {_tensor(case.dy, case, leaf=False)}"
    for name in ("running_mean", "running_var"):
        value = getattr(case, name)
        if value is not None:
            yield f"{name} = {_tensor(value, case, leaf=False)}"


def _reference(subject: Subject, case: Case, back: str) -> Iterator[str]:
    """The lines of the formula in float64, over the axes whose entries share a statistic."""
    normalizer, contract = subject.normalizer, subject.contract
    part = normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim)
    upper = {"x": "X", "weight": "WEIGHT", "bias": "BIAS"}
    given = [name for name in upper if getattr(case, name) is not None]
    track = ".requires_grad_()" if back else ""
    yield "; ".join(f"{upper[name]} = {name}.detach().double(){track}" for name in given)
    seen, dims = _view(normalizer, case)
    c = f"X.reshape{seen}" if seen != case.x.shape else "X"
    if normalizer.centered:
        yield f"c = {c} - {c}.mean({dims}, keepdim=True)"
    else:
        yield f"c = {c}"
    lost = f" * ({part.n} / {part.n - 1})" if contract.variance == "unbiased" else ""
    squares = "mean" if normalizer.mean_square else "sum"
    v = f"c.square().{squares}({dims}, keepdim=True){lost}"
    eps = "" if normalizer.eps is None else f" + {case.eps!r}"
    scale = f"({v}.sqrt(){eps})" if contract.eps_place == "outside" else f"({v}{eps}).sqrt()"
    shape = "" if seen == case.x.shape else f".reshape{case.x.shape}"
    one = "1 + " if contract.weight == "1+w" else ""
    spread = f".reshape{part.spread_shape}" if part.spread_shape != part.parameter else ""
    gain = "" if case.weight is None else f" * ({one}WEIGHT{spread})" if one else f" * WEIGHT{spread}"
    shift = f" + BIAS{spread}" if case.bias is not None else ""
    yield f"exact = (c / {scale}){shape}{gain}{shift}"


def _view(normalizer: Normalizer, case: Case) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape of the input, and the axes whose entries share a statistic."""
    shape, rank = case.x.shape, case.x.ndim
    members = normalizer.sets.members
    if normalizer.sets.layout == "trailing":
        return shape, tuple(range(-case.normalized, 0))
    if normalizer.sets.layout == "rows":
        every = tuple(range(rank))
        return shape, every if case.dim is None else tuple(a for a in every if a != case.dim % rank)
    if "case" in members:
        return shape, tuple(a for a in range(rank) if a != 1)
    if "unit" in members:
        return (shape[0], case.groups, -1), (2,)
    return shape, tuple(range(2, rank))
