"""One net of torch that is called several times, on series that lie in the same memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from normcheck.families.recurrent.case import RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.torch.builder import Builder, leaves_of
from normcheck.frameworks.torch import tensors


def successive(builder: Builder, cases: Sequence[RecurrentCase]) -> tuple[RecurrentAnswer, ...]:
    """The answers of one net to each case; only the first call records gradients. Raises `CallError`."""
    module, found = builder.ready(cases[0])
    leaves, out = leaves_of(cases[0]), []
    for i, case in enumerate(cases):
        with torch.no_grad():
            for name, leaf in leaves.items():
                leaf.copy_(torch.tensor(getattr(case, name)))
        with torch.set_grad_enabled(i == 0):
            values = builder.outputs(case, builder.returned(module.train(case.training), case, leaves))
        arrays = {name: tensors.array(value) for name, value in values.items()}
        y = arrays.pop("y")
        out.append(RecurrentAnswer(y, case.format.name, arrays, {}, found.statistics("mean"), found.statistics("var")))
    return tuple(out)
