"""One page for a normalizer, a law or a fault, as plain records: what a report prints and a guide is made of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from normcheck import catalog, faults, transforms
from normcheck.adapters.binding import names_of
from normcheck.checks import BY_NAME
from normcheck.checks.base import Check
from normcheck.contract import CHOICES
from normcheck.errors import UsageError, suggest
from normcheck.examples import EXAMPLES, TEMPLATE
from normcheck.faults import Fault
from normcheck.spec import Normalizer, Row

Section = tuple[str, tuple[str, ...]]
"""A heading, and its paragraphs; a paragraph that begins with four spaces is code and is not wrapped."""


@dataclass(frozen=True, slots=True)
class Page:
    """What there is to say about one word."""

    title: str
    sections: tuple[Section, ...]


def page(word: str) -> Page:
    """The page of a kind, a check or a fault. Raises `UsageError` with the nearest word for any other."""
    if word in catalog.ALL:
        return _normalizer(catalog.get(word))
    if word in BY_NAME:
        return _law(BY_NAME[word])
    if word in faults.ALL:
        return _fault(faults.get(word))
    known = (*catalog.ALL, *BY_NAME, *faults.ALL)
    near = suggest(word, known)
    where = near if near.startswith("did") else f"a kind ({', '.join(catalog.ALL)}), a check, or a fault"
    raise UsageError(f"there is no page for {word!r}; {where}")


def words() -> dict[str, tuple[str, ...]]:
    """All that has a page, by what it is."""
    return {"kinds": tuple(catalog.ALL), "laws": tuple(BY_NAME), "faults": tuple(faults.ALL)}


def _normalizer(n: Normalizer) -> Page:
    shared = " and ".join(sorted(n.sets.members))
    center = "the mean is subtracted" if n.centered else "no mean is subtracted"
    scale = "the root of their mean square" if n.mean_square else "the root of their sum of squares"
    sections: list[Section] = [
        ("formula", (n.formula, f"Entries along {shared} share a statistic; {center}; divided by {scale}.")),
        ("paper", (f"{n.paper}: {n.paper.title}", n.paper.url)),
        ("Table 1", tuple(_rows(n))),
        ("arguments", tuple(_arguments(n))),
        ("conventions", tuple(_conventions())),
        ("accuracy", (_accuracy(n),)),
    ]
    if n.note:
        sections.append(("note", (n.note,)))
    sections.append(("to check one", (f"    pytest --norm {n.name}=mypkg.kernels:mine",)))
    return Page(f"{n.name}: {n.title}", tuple(sections))


def _rows(n: Normalizer) -> Iterator[str]:
    row = transforms.derived_row(n)
    yield f"invariant to {_named(row, True)}"
    yield f"not invariant to {_named(row, False)}"
    for printed in n.printed:
        same = "the same" if printed.row == row else f"invariant to {_named(printed.row, True)}"
        yield f"{printed.paper}: {same}"


def _named(row: Row, yes: bool) -> str:
    titles = [column.title for column in transforms.COLUMNS if row[column.name] is yes]
    return ", ".join(titles) or "none of the six"


def _arguments(n: Normalizer) -> Iterator[str]:
    yield "In torch's order; each may have any of these names, and any but the input may be missing."
    for role in n.arguments:
        yield f"{role}: {', '.join(dict.fromkeys((role, *names_of(n, role))))}"


def _conventions() -> Iterator[str]:
    yield "--norm-contract KEY=VALUE, the default first."
    for key, choices in CHOICES.items():
        yield f"{key}: {', '.join(choices)}"


def _accuracy(n: Normalizer) -> str:
    forward, backward = n.narrow_accuracy
    return (
        f"float64 and float32: sound. bfloat16 and float16: {forward} forward, {backward} backward, the class that "
        "torch's function of this kind reaches on the CPU."
    )


def _law(check: Check) -> Page:
    concerned = [n.name for n in catalog.ALL.values() if check.concerns(n)]
    others = [name for name in catalog.ALL if name not in concerned]
    asked = inspect.getdoc(check.ask) or ""
    space = check.space
    drawn = f"Formats {', '.join(space.formats)}; {min(space.widths)} to {max(space.widths)} members of a set"
    sections: list[Section] = [
        ("law", (check.law,)),
        ("source", tuple(_sources(check.source))),
        ("asked of", (", ".join(concerned), *([f"not of {', '.join(others)}"] if others else []))),
        ("cases", (f"{drawn}; always tried: {len(space.edges)} threshold widths." if space.edges else f"{drawn}.",)),
        ("effort", (f"from {check.least} on",)),
    ]
    if asked and not asked.startswith("Call self"):
        sections.insert(1, ("in words", (" ".join(asked.split()),)))
    return Page(f"{check.name}: a law", tuple(sections))


def _fault(fault: Fault) -> Page:
    able = [n.name for n in catalog.ALL.values() if fault.concerns(n)]
    sections: list[Section] = [
        ("what happens", (fault.story,)),
        ("source", tuple(_sources(fault.source))),
        ("can befall", (", ".join(able),)),
        ("damages", (_damage(fault),)),
    ]
    example = EXAMPLES.get(fault.name)
    if example is not None:
        right = TEMPLATE[example.line]
        sections.append(("wrong", tuple(f"    {line}" for line in example.wrong)))
        sections.append(("right", (f"    {right}",)))
    return Page(f"{fault.name}: a fault", tuple(sections))


def _damage(fault: Fault) -> str:
    return {
        "forward": "the output, and the gradients through it",
        "backward": "gradients alone: every output is right",
        "running": "running statistics in training",
        "evaluation": "evaluation with running statistics",
        "format": "the format of the output",
        "memory": "what lies around arrays in memory, or belongs to others",
        "use": "a way of calling other than plainly",
    }[fault.where]


def _sources(text: str) -> Iterator[str]:
    """A source, and the address of each thread that it names as owner/repository#number."""
    yield text
    for repository, number in re.findall(r"([\w.-]+/[\w.-]+)#(\d+)", text):
        yield f"https://github.com/{repository}/issues/{number}"
