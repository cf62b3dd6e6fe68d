"""One page for each kind, check, fault, convention and topic, as plain records that reports print."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from normcheck import families
from normcheck.core.check import Check
from normcheck.core.errors import UsageError, shortened, suggest
from normcheck.core.family import KnownFault
from normcheck.core.page import Section
from normcheck.core.spec import Entry
from normcheck.explain import conventions, fault_code
from normcheck.explain.conventions import MEANINGS
from normcheck.explain.topics import TOPICS
from normcheck.families import CHECKS_BY_NAME

IN_REFERENCE = (
    "What stands in the reference in place of the right step, where the suite proves that it finds this fault:"
)


@dataclass(frozen=True, slots=True)
class Page:
    """The documentation of one thing: title and sections."""

    title: str
    sections: tuple[Section, ...]


def page(word: str) -> Page:
    """The page of a kind, check, fault, convention or topic; of a convention also with a value, as eps-place=outside.

    Raises `UsageError`, with the nearest name, for another word.
    """
    key, equals, _ = word.partition("=")
    for part in PARTS[-1:] if equals else PARTS:
        if key in part.names():
            return part.page(key)
    near = suggest(key, [name for names in words().values() for name in names])
    where = near if near.startswith("did") else "`normcheck explain` lists all kinds, laws, faults and conventions"
    raise UsageError(f"there is no page for {shortened(word)!r}; {where}")


def words() -> dict[str, tuple[str, ...]]:
    """The names of all pages, by the part of the reference that they are in."""
    return {part.name: tuple(part.names()) for part in PARTS}


def _entry(entry: Entry) -> Page:
    sections = list(families.of(entry).sections(entry))
    if entry.note:
        sections.append(("note", (entry.note,)))
    sections.append(("to check one", (f"    pytest --norm {entry.name}=mypkg.kernels:mine",)))
    return Page(f"{entry.name}: {entry.title}", tuple(sections))


def _law(check: Check) -> Page:
    family = [entry for entry in families.ENTRIES.values() if isinstance(entry, check.space.entries)]
    concerned = [entry.name for entry in family if check.concerns(entry)]
    others = [entry.name for entry in family if entry.name not in concerned]
    asked = inspect.getdoc(check.ask) or ""
    sections: list[Section] = [
        ("law", (check.law,)),
        ("source", tuple(_sources(check.source))),
        ("asked of", (", ".join(concerned), *([f"not of {', '.join(others)}"] if others else []))),
        ("cases", (check.space.words(),)),
        ("effort", (f"from {check.least} on",)),
    ]
    if asked and not asked.startswith("Call self"):
        sections.insert(1, ("in words", (" ".join(asked.split()),)))
    return Page(f"{check.name}: a law", tuple(sections))


def _fault(fault: KnownFault) -> Page:
    able = [n.name for family in families.FAMILIES if fault.name in family.faults for n in family.entries
            if fault.concerns(n)]  # fmt: skip
    sections: list[Section] = [
        ("what happens", (fault.story,)),
        ("source", tuple(_sources(fault.source))),
        ("can befall", (", ".join(able),)),
        ("damages", (f"{fault.damages}",)),
    ]
    lines = families.wrong_lines(fault.name)
    if lines is not None:
        sections.append(("wrong", tuple(f"    {line}" for line in lines.wrong)))
        sections.append(("right", (f"    {lines.right}",)))
    else:
        sections.append(("wrong", (IN_REFERENCE, *_code("\n\n".join(fault_code.changes(fault))))))
    return Page(f"{fault.name}: a fault", tuple(sections))


def _code(text: str) -> Iterator[str]:
    """Lines of code as paragraphs; an empty one would be none."""
    yield from (f"    {line}" for line in text.splitlines() if line)


def _convention(key: str) -> Page:
    return Page(f"{key}: a convention", conventions.sections(key))


def _sources(text: str) -> Iterator[str]:
    """A source, and the address of each thread that it names as owner/repository#number."""
    yield text
    for repository, number in re.findall(r"([\w.-]+/[\w.-]+)#(\d+)", text):
        yield f"https://github.com/{repository}/issues/{number}"


@dataclass(frozen=True, slots=True)
class ReferencePart:
    """A part of the reference: its name, the names of its pages, and the page of each."""

    name: str
    names: Callable[[], Iterable[str]]
    page: Callable[[str], Page]


PARTS = (
    ReferencePart("kinds", lambda: families.ENTRIES, lambda name: _entry(families.get(name))),
    ReferencePart("laws", lambda: CHECKS_BY_NAME, lambda name: _law(CHECKS_BY_NAME[name])),
    ReferencePart("faults", lambda: families.FAULTS, lambda name: _fault(families.fault(name))),
    ReferencePart("topics", lambda: TOPICS, lambda name: Page(f"{name}: {TOPICS[name][0]}", TOPICS[name][1])),
    ReferencePart(
        "conventions", lambda: MEANINGS, lambda name: Page(f"{name}: a convention", conventions.sections(name))
    ),
)
"""All parts; a name that is in two is that of the first, since a law and its convention may bear the same."""
