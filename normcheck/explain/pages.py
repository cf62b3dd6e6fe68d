"""One page for each kind, check, fault, topic, convention and word of a card, and an index of all, as plain records."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from normcheck import families
from normcheck.core.check import Check
from normcheck.core.errors import UsageError, shortened, suggest
from normcheck.core.family import Family, KnownFault
from normcheck.core.page import Section
from normcheck.core.spec import Entry
from normcheck.explain import card_words, conventions, fault_code
from normcheck.explain.card_words import CARD_WORDS
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
    """The page of a kind, check, fault, topic, convention or word of a card.

    A convention may have a value, as in eps-place=outside. Raises `UsageError`, with the nearest name, for others.
    """
    key, equals, _ = word.partition("=")
    for part in (CONVENTIONS,) if equals else PARTS:
        if key in part.names():
            return part.page(key)
    near = suggest(key, [name for names in words().values() for name in names])
    where = near if near.startswith("did") else "`normcheck explain` lists all pages, with a line for each"
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


def _sources(text: str) -> Iterator[str]:
    """A source, and the address of each thread that it names as owner/repository#number."""
    yield text
    for repository, number in re.findall(r"([\w.-]+/[\w.-]+)#(\d+)", text):
        yield f"https://github.com/{repository}/issues/{number}"


@dataclass(frozen=True, slots=True)
class ReferencePart:
    """A part of the reference: its name, the names of its pages, the page of each, its gist, and its group.

    gist: what an index says of the page. group: the pages that an index lists together; empty where a part has one.
    """

    name: str
    names: Callable[[], Iterable[str]]
    page: Callable[[str], Page]
    gist: Callable[[str], str]
    group: Callable[[str], str] = lambda name: ""


@dataclass(frozen=True, slots=True)
class IndexGroup:
    """Pages that an index lists together: pairs of a name and its gist."""

    title: str
    pages: tuple[tuple[str, str], ...]


def index() -> Iterator[IndexGroup]:
    """The names of all pages in groups, with what each page is about."""
    for part in PARTS:
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in part.names():
            groups.setdefault(part.group(name), []).append((name, part.gist(name)))
        for group, found in groups.items():
            yield IndexGroup(f"{part.name}: {group}" if group else part.name, tuple(found))


def _family_title(family: Family) -> str:
    """The name of the module of a family, in words."""
    return families.MODULES[families.FAMILIES.index(family)].replace("_", " ")


def _family_of_fault(name: str) -> Family:
    return next(family for family in families.FAMILIES if name in family.faults)


CONVENTIONS = ReferencePart(
    "conventions", lambda: MEANINGS, lambda name: Page(f"{name}: a convention", conventions.sections(name)),
    lambda name: MEANINGS[name].what, lambda name: "keys of a contract",
)  # fmt: skip
PARTS = (
    ReferencePart(
        "kinds", lambda: families.ENTRIES, lambda name: _entry(families.get(name)),
        lambda name: str(families.get(name).title), lambda name: _family_title(families.of(families.get(name))),
    ),
    ReferencePart(
        "laws", lambda: CHECKS_BY_NAME, lambda name: _law(CHECKS_BY_NAME[name]),
        lambda name: CHECKS_BY_NAME[name].law, lambda name: families.TOPICS[name],
    ),
    ReferencePart(
        "faults", lambda: families.FAULTS, lambda name: _fault(families.fault(name)),
        lambda name: families.fault(name).story, lambda name: _family_title(_family_of_fault(name)),
    ),
    ReferencePart(
        "topics", lambda: TOPICS, lambda name: Page(f"{name}: {TOPICS[name][0]}", TOPICS[name][1]),
        lambda name: TOPICS[name][0],
    ),
    CONVENTIONS,
    ReferencePart(
        "card", lambda: CARD_WORDS,
        lambda name: Page(f"{name}: a word of the card", card_words.sections(name)), lambda name: CARD_WORDS[name],
        lambda name: "words of normcheck identify",
    ),
)  # fmt: skip
"""All parts; a name that is in several is that of the first, since a law and its convention may bear the same."""
