"""The reader of `schema.json`: says where a document breaks it, in one clause.

`jsonschema` says the same, and the tests compare both; it is not a dependency, as it brings four packages, one of them
compiled, for the dozen keywords that the schema uses.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

Schema = Mapping[str, Any]


def _is_number(value: Any) -> bool:
    """Whether a value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: _is_number(value) and value == int(value),
    "number": _is_number,
}
"""Whether a value has a type, by the name of the type."""

KEYWORDS = frozenset(
    ("type", "enum", "anyOf", "$ref", "required", "properties", "additionalProperties", "items", "prefixItems",
     "minItems", "maxItems", "minimum", "description", "title", "$schema", "$defs")
)  # fmt: skip
"""What the reader understands; the schema uses nothing else."""


@lru_cache(maxsize=1)
def schema() -> Schema:
    """The schema of a run."""
    found: Schema = json.loads((files("normcheck") / "report" / "schema.json").read_text(encoding="utf-8"))
    return found


def violation(document: Any) -> str:
    """The first thing in a document that the schema of a run does not allow, as a clause; empty if there is none.

    >>> violation({"normcheck": 1, "environment": {}, "settings": {}, "implementations": []})
    'normcheck is no string'
    """
    return next(_violations(document, schema(), ""), "")


def _violations(value: Any, of: Schema, place: str) -> Iterator[str]:
    """Everything that one schema does not allow in a value. place: where the value stands in the document."""
    if "$ref" in of:
        name = str(of["$ref"]).rpartition("/")[2]
        yield from _violations(value, schema()["$defs"][name], place)
    where = place or "the document"
    if "anyOf" in of and all(any(_violations(value, one, place)) for one in of["anyOf"]):
        yield min((next(_violations(value, one, place)) for one in of["anyOf"]), key=lambda text: -len(text))
    if "enum" in of and not any(value == one and type(value) is type(one) for one in of["enum"]):
        yield f"{where} is none of {', '.join(map(str, of['enum']))}"
    types = of.get("type", [])
    names = [types] if isinstance(types, str) else types
    if names and not any(TYPES[name](value) for name in names):
        yield f"{where} is no {' or '.join(names)}"
    elif isinstance(value, dict):
        yield from _in_object(value, of, place)
    elif isinstance(value, list):
        yield from _in_array(value, of, place)
    elif "minimum" in of and _is_number(value) and value < of["minimum"]:
        yield f"{where} is below {of['minimum']}"


def _in_object(value: Mapping[str, Any], of: Schema, place: str) -> Iterator[str]:
    known = of.get("properties", {})
    for name in of.get("required", ()):
        if name not in value:
            yield f"{place or 'the document'} has no {name!r}"
    for name, item in value.items():
        inner = known.get(name, of.get("additionalProperties", True))
        if inner is False:
            yield f"{place or 'the document'} has an unknown key {name!r}"
        elif inner is not True:
            yield from _violations(item, inner, f"{place}.{name}" if place else name)


def _in_array(value: list[Any], of: Schema, place: str) -> Iterator[str]:
    if not of.get("minItems", 0) <= len(value) <= of.get("maxItems", math.inf):
        yield f"{place} has {len(value)} items"
    first = of.get("prefixItems", ())
    for i, item in enumerate(value):
        inner = first[i] if i < len(first) else of.get("items", True)
        if inner is not True:
            yield from _violations(item, inner, f"{place}[{i}]")
