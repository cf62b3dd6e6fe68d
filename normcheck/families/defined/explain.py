"""The page of a defined normalizer, as sections."""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.core.floats import FLOAT32, WIDE_NAMES
from normcheck.core.page import Section, paper
from normcheck.families.defined import bounds, proofs
from normcheck.families.defined.checks import table
from normcheck.families.defined.entry import LAYOUTS, OWN, DefinedNormalizer
from normcheck.families.defined.faults import ALL
from normcheck.families.defined.space import DefinedDraw, defined_case
from normcheck.normalizers.transforms import COLUMNS


def sections(entry: DefinedNormalizer) -> Iterator[Section]:
    """All sections but those that every page has: the note, and how to check one."""
    yield "formula", (entry.formula or "that of its forward",)
    if entry.paper is not OWN:
        yield "paper", paper(entry)
    yield "Table 1", tuple(_row(entry))
    yield "gradient", tuple(_gradient(entry))
    yield "input", (LAYOUTS[entry.layout],)
    yield "arguments", tuple(_arguments(entry))
    accuracy = (
        f"{' and '.join(WIDE_NAMES)}: within the running error of the forward on each case, and {bounds.OTHERS:g} "
        "times that for another order of operations."
    )
    yield "accuracy", (accuracy,)
    able = [name for name, fault in ALL.items() if fault.concerns(entry)]
    yield "known faults", (", ".join(able),)
    eps = "--norm-contract eps=E: the eps of code that takes none"
    conventions = (
        f"{eps}; eps-format={FLOAT32.name}: it is held in that; formats={FLOAT32.name}; slack=S multiplies every bound."
    )
    yield "conventions", (conventions,)


def _row(entry: DefinedNormalizer) -> Iterator[str]:
    cells = {column.name: table.cell(entry, column) for column in table.ALL}
    for holds, words in ((True, "invariant to"), (False, "not invariant to")):
        titles = [c.title for c in COLUMNS if cells[c.name].holds is holds]
        yield f"{words} {', '.join(titles) or 'none of the six'}"
    own = cells[table.OTHERS.name].holds
    yield f"an output depends on {'its own case only' if own else 'other cases too'}"
    how = "derived by hand, and measured" if entry.derived is not None else "measured"
    yield f"{how} on {table.TRIES} networks, with a bound for each output"


def _gradient(entry: DefinedNormalizer) -> Iterator[str]:
    found, closed = proofs.prove(entry, defined_case(entry, DefinedDraw(rank=min(entry.served))))
    for name, proof in found.items():
        yield f"d{name}: agrees with the {proof.way}, {proof.numbers} numbers, by {proof.share:.2g} of its bound"
    if closed:
        names = ", ".join(f"d{name}" for name in closed)
        yield f"closed form of {names}: agrees, by {max(closed.values()):.2g} of its bound"


def _arguments(entry: DefinedNormalizer) -> Iterator[str]:
    yield f"f({', '.join(entry.arguments)}), or a module class with parameters of these names."
    for name in entry.parameters:
        kind = "case" if name in entry.groups else entry.shapes.get(name, "unit")
        shape = (
            f"{kind} numbers"
            if isinstance(kind, int)
            else {
                "unit": "one number for each unit",
                "one": "one number",
                "input": "the input's shape",
                "matrix": "(units, inputs)",
                "case": "one number for each case",
            }["matrix" if entry.layout == "linear" else kind]
        )
        more = ", kept by the layer" if name in entry.state else ""
        if name in entry.groups:
            more = f": its group, as an integer below {entry.groups[name]}, in ascending order; a group may be empty"
        if name in entry.neutral:
            more = f"; {entry.neutral[name]:g} in code that does not take it"
        yield f"{name}: {shape}{more}"
