"""The page of an optimizer of nets, as sections."""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.core.floats import FLOAT32, WIDE_NAMES
from normcheck.core.page import Section, paper
from normcheck.families.path_optimizer.entry import PathOptimizer


def sections(entry: PathOptimizer) -> Iterator[Section]:
    """All sections but those that every page has: the note, and how to check one."""
    yield "formula", (entry.formula,)
    yield "paper", paper(entry)
    yield (
        "what is asked",
        (
            (
                f"The step of every edge against the closed form, in {' and '.join(WIDE_NAMES)}; whether it commutes "
                "with "
                "the rescaling of nodes, which plain gradient descent does not; that stepped nets which computed one "
                "function still do; and torch.optim's interface: rates of groups, closures, frozen layers, saved "
                "states."
            ),
            "An optimizer is not told the function that it minimizes: a step needs parameters and gradients alone.",
        ),
    )
    yield (
        "arguments",
        (
            (
                "A class, or a function that returns an optimizer, called as C(params, lr=...). params: the weights of "
                "a ReLU net, each (outputs, inputs) as torch.nn.Linear has it, in the order of the layers from the "
                "input on, each followed by its bias where there is one: what net.parameters() gives of a "
                "torch.nn.Sequential. Where groups are given, each layer is in one of its own."
            ),
            "    optimizer = C(net.parameters(), lr=0.1); loss.backward(); optimizer.step()",
        ),
    )
    yield (
        "conventions",
        (
            (
                "--norm-contract eps=1e-8: that number is added to kappa, which gives up the laws of rescaling. "
                f"formats={FLOAT32.name}: it serves that format alone. slack=S: every bound is multiplied by it."
            ),
        ),
    )
