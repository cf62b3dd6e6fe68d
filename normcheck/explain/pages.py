"""One page for a kind, a check or a fault, as plain records that reports print."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from normcheck import families
from normcheck.core.check import Check
from normcheck.core.errors import UsageError, suggest
from normcheck.core.family import KnownFault
from normcheck.core.page import Section
from normcheck.core.spec import Entry
from normcheck.explain.examples import EXAMPLES, TEMPLATE
from normcheck.explain.topics import TOPICS
from normcheck.families import CHECKS_BY_NAME


@dataclass(frozen=True, slots=True)
class Page:
    """The documentation of one kind, check or fault: title and sections."""

    title: str
    sections: tuple[Section, ...]


def page(word: str) -> Page:
    """The page of a kind, a check, a fault or a topic. Raises `UsageError`, with the nearest name, for another word."""
    if word in families.ENTRIES:
        return _entry(families.get(word))
    if word in CHECKS_BY_NAME:
        return _law(CHECKS_BY_NAME[word])
    if word in families.FAULTS:
        return _fault(families.fault(word))
    if word in TOPICS:
        return Page(f"{word}: {TOPICS[word][0]}", TOPICS[word][1])
    known = (*families.ENTRIES, *CHECKS_BY_NAME, *families.FAULTS, *TOPICS)
    near = suggest(word, known)
    where = near if near.startswith("did") else f"a kind ({', '.join(families.ENTRIES)}), a check, or a fault"
    raise UsageError(f"there is no page for {word!r}; {where}")


def words() -> dict[str, tuple[str, ...]]:
    """The names of all kinds, checks, faults and topics."""
    return {"kinds": tuple(families.ENTRIES), "laws": tuple(CHECKS_BY_NAME), "faults": tuple(families.FAULTS),
            "topics": tuple(TOPICS)}  # fmt: skip


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
    example = EXAMPLES.get(fault.name)
    if example is not None:
        right = TEMPLATE[example.line]
        sections.append(("wrong", tuple(f"    {line}" for line in example.wrong)))
        sections.append(("right", (f"    {right}",)))
    return Page(f"{fault.name}: a fault", tuple(sections))


def _sources(text: str) -> Iterator[str]:
    """A source, and the address of each thread that it names as owner/repository#number."""
    yield text
    for repository, number in re.findall(r"([\w.-]+/[\w.-]+)#(\d+)", text):
        yield f"https://github.com/{repository}/issues/{number}"
