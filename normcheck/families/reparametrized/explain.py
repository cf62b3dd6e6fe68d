"""The page of a layer in refreshed coordinates, as sections."""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.core.floats import WIDE_NAMES
from normcheck.core.page import Section, paper
from normcheck.families.reparametrized.entry import Reparametrized


def sections(entry: Reparametrized) -> Iterator[Section]:
    """All sections but those that every page has: the note, and how to check one."""
    yield "formula", (entry.formula,)
    yield "paper", paper(entry)
    own = (
        f"a step commutes with these maps of the input: {', '.join(sorted(entry.commutes))}"
        if entry.affine
        else "after a refresh, f and its slope are zero on average over the batch"
    )
    kept = "; a step on one case is as long as that of plain gradient descent" if entry.keeps else ""
    yield (
        "what is asked",
        (
            (
                "Whether a refresh leaves the function as it is: at first, again, and after a step; whether statistics "
                f"are constant between refreshes; steps against the closed form, in {' and '.join(WIDE_NAMES)}; "
                f"{own}{kept}."
            ),
        ),
    )
    called = ", ".join(f"{name}=..." if name == entry.damping else name for name in entry.arguments)
    layers = (
        "linear: a torch.nn.Linear with weight and bias."
        if entry.affine
        else "inner, outer, shortcut: torch.nn.Linear each, outer without bias; outer's weight and inner's bias stay "
        "parameters of those shapes."
    )
    how = (
        f"A module class, or a function that returns a module, called as C({called}), which computes what the given "
        f"layers do. {layers} The module has a method refresh(x), or refresh(x, dy) with the loss's derivatives by its "
        "outputs, and its parameters() are stepped by torch.optim.SGD."
    )
    code = "layer.refresh(x); loss(layer(x)).backward(); torch.optim.SGD(layer.parameters(), lr=0.1).step()"
    yield "arguments", (how, f"    layer = C({called})", f"    {code}")
    yield (
        "conventions",
        (
            (
                "--norm-contract eps=E: the damping of code that takes none; momentum=old: that of averages is the "
                "weight of the old one; formats={FLOAT32.name}; slack=S multiplies every bound."
            ),
        ),
    )
