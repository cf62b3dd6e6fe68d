"""A finding as a script in its framework, with exact numbers: it shows the failure without normcheck.

The script writes the reference as the formula in float64 and prints the largest difference beside what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.core.errors import CallError
from normcheck.core.result import Comparison
from normcheck.core.uses import PLAIN
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import gradients_within, output_within
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate, partition
from normcheck.normalizers.subject import Answer, ScriptLanguage, Subject

NUMBERS = 48
"""Entries of the input up to which a script is written: a longer one is hard to read."""

GRADIENTS = {"y": "", "dx": "x", "dweight": "weight", "dbias": "bias"}
"""The arrays that a script compares, and the leaf whose gradient each is."""

LEAVES = ("x", "weight", "bias")


def script(subject: Subject, case: Case) -> tuple[str, ...]:
    """The lines; empty if the answer is within its bounds, or if the case cannot be written in a few lines."""
    language, spell = subject.domain.language, subject.domain.spell
    if not _writable(subject, case) or language is None or spell is None:
        return ()
    call = spell(case)
    if not call:
        return ()
    worst = _wrong(subject, case)
    if worst is None:
        return _of_other_format(subject, language, case, call)
    name, found = worst
    back = GRADIENTS[name]
    if back and not _differentiable(subject, case):
        return ()
    names = [name for name in LEAVES if getattr(case, name) is not None]
    lines, largest = language.compared(call, names, _reference(subject, language, case), back)
    shown = f"print({largest})  # {found.observed:.3g}; allowed {found.allowed:.3g}"
    return (*language.opening(case.format.name), *_arrays(language, case, back), *lines, shown)


def _of_other_format(subject: Subject, language: ScriptLanguage, case: Case, call: tuple[str, ...]) -> tuple[str, ...]:
    """The lines that show that a right output has another format than the input; empty if it has that of the input."""
    try:
        found = subject.call(case, False).format
    except CallError:
        return ()
    if found == case.format.name:
        return ()
    shown = f"print(int(y.dtype != x.dtype))  # 1, the output is {found}; allowed 0"
    return (*language.opening(case.format.name), *_arrays(language, case, ""), *call, shown)


def _writable(subject: Subject, case: Case) -> bool:
    plain = case.use == PLAIN and not any(layout != "contiguous" for layout in case.layouts.values())
    n, contract = subject.normalizer, subject.contract
    formula = not n.partial and contract.gradient == "full" and contract.eps_place in ("inside", "outside")
    defined = contract.variance != "unbiased" or partition(n, case).n > 1  # else it divides by 0
    return plain and formula and defined and case.x.size <= NUMBERS and case.training


def _differentiable(subject: Subject, case: Case) -> bool:
    """Whether the formula of the script has a gradient: the root of a variance of 0 has none."""
    v = evaluate(subject.normalizer, case, subject.contract).saved.v
    return subject.contract.eps_place == "inside" or bool((v > 0.0).all())


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


def _arrays(language: ScriptLanguage, case: Case, back: str) -> Iterator[str]:
    """The lines that assign the arrays of the case, and dy if a gradient is compared."""
    for name in (*LEAVES, "dy", "running_mean", "running_var"):
        value = getattr(case, name)
        if value is not None and (back or name != "dy"):
            yield f"{name} = {language.array(value, case.format.name, leaf=bool(back) and name in LEAVES)}"


def _reference(subject: Subject, language: ScriptLanguage, case: Case) -> tuple[str, str]:
    """The formula over the axes whose entries share a statistic: the input minus its mean, and the output from it."""
    normalizer, contract = subject.normalizer, subject.contract
    part = partition(normalizer, case)
    seen, dims = _view(normalizer, case)
    x = f"X.reshape{seen}" if seen != case.x.shape else "X"
    centered = f"{x} - {language.reduced('mean', x, dims)}" if normalizer.centered else x
    normalized = f"(c / {_scale(subject, language, case, dims)})" if normalizer.scaled else "c"
    shape = "" if seen == case.x.shape else f".reshape{case.x.shape}"
    one = "1 + " if contract.weight == "1+w" else ""
    spread = f".reshape{part.spread_shape}" if part.spread_shape != part.parameter else ""
    gain = "" if case.weight is None else f" * ({one}WEIGHT{spread})" if one else f" * WEIGHT{spread}"
    shift = f" + BIAS{spread}" if case.bias is not None else ""
    return centered, f"{normalized}{shape}{gain}{shift}"


def _scale(subject: Subject, language: ScriptLanguage, case: Case, dims: tuple[int, ...]) -> str:
    """What c is divided by."""
    normalizer, contract = subject.normalizer, subject.contract
    v = language.reduced("mean" if normalizer.mean_square else "sum", language.square("c"), dims)
    if contract.variance == "unbiased" and normalizer.mean_square:
        n = partition(normalizer, case).n
        v = f"({v} * ({n} / {n - 1}))"
    eps = "" if normalizer.eps is None else f" + {case.eps!r}"
    return f"({language.root(v)}{eps})" if contract.eps_place == "outside" else language.root(f"({v}{eps})")


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
