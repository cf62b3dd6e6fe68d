"""A module as it is deployed: in evaluation mode, frozen, and with parameters that change between calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from normcheck.core import uses
from normcheck.core.floats import FLOAT32, FLOAT64
from normcheck.core.result import Comparison
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.call_modes import offers, same, stateless, use_check
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.sampling.recipes import Draw, small, state
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject

UNLIKE = 7_919
"""Added to the seed of a draw."""


def _deployed(normalizer: Normalizer, draw: Draw) -> Case:
    """A case that is evaluated with running statistics, where the normalizer has them.

    Its parameters are those of no other check: what a layer has kept from another one is not right by chance.
    """
    draw = replace(draw, seed=draw.seed + UNLIKE)
    return state(normalizer, draw, training=False) if normalizer.state else small(normalizer, draw)


def _nothing_else(subject: Subject, truth: Truth, answer: Answer, use: str) -> Iterator[Comparison]:
    """Output and gradients are those of a plain call, and the mode is all that eval() and train() change."""
    yield from same(subject, truth, answer, use)
    changed = [what for what in answer.changed if what != uses.NOT_RETURNED]
    strange = float("inf") if changed else 0.0
    notes = {"eval()": uses.NOT_RETURNED} if uses.NOT_RETURNED in answer.changed else {}
    law = "eval() and train() change the mode alone"
    yield Comparison(law, 1, strange, strange, 0.0, detail=", ".join(changed), notes=notes)


def _needs_parameters(subject: Subject) -> str:
    domain = subject.domain
    if subject.normalizer.state and not domain.evaluation:
        return "it is not evaluated with running statistics"
    missing = offers(*uses.CHANGED)(subject)
    return missing or ("" if set(domain.affine) - {"none"} else "it has no parameters")


_SPACE = NormalizerSpace(small, formats=(FLOAT32, FLOAT64), widths=(4, 6), sets=(4, 6), offsets=False, once=True)

CHECKS = (
    replace(
        use_check("evaluation-mode", "without running statistics, training and evaluation give the same",
                  "flashlight/flashlight#103", uses.EVALUATED, _SPACE, refusable=False, within=_nothing_else,
                  least="quick"),
        concerns=stateless,
    ),
    replace(
        use_check("changed-parameters", "in evaluation, the output is that of the parameters as they are now",
                  "torch/nn#1205", uses.CHANGED, replace(_SPACE, recipe=_deployed, affine=("both", "weight")),
                  least="quick"),
        concerns=lambda n: n.acts_on == "activation", lacks=_needs_parameters,
    ),
)  # fmt: skip
