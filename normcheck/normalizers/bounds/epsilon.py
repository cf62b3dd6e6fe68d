"""What an eps that does not follow a scale changes."""

from __future__ import annotations

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import BFLOAT16, FLOAT32, Array
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth, evaluate


def follows(contract: Contract) -> int:
    """The power of a scale that eps follows: 2 where it is added to a variance, 1 where to a standard deviation."""
    return 2 if contract.eps_place == "inside" else 1


def scalable(contract: Contract, eps: float) -> float:
    """An eps near this one whose products with the squares of factors are held as they are.

    Where it is held in float32, it gets eight digits, so that sixteen remain for the square of a factor.
    """
    return float(BFLOAT16.round(np.asarray(eps))) if contract.eps_format == FLOAT32.name else eps


def effect(normalizer: Normalizer, truth: Truth, contract: Contract, delta: float) -> Array:
    """The most that a fixed eps changes in y where some sets are scaled by delta, of the output's shape.

    y(delta x; eps) = y(x; eps / delta^p), p = `follows`: a set that is scaled by delta changes as if its eps were
    divided by delta^p, one that is scaled by 1 / delta as if it were multiplied. The reference computes both, and the
    larger of the two changes is allowed.
    """
    case, factor = truth.case, delta ** follows(contract)
    others = (case.but(eps=case.eps / factor), case.but(eps=case.eps * factor))
    effects = [np.abs(evaluate(normalizer, other, contract).y - truth.y) for other in others]
    out: Array = np.maximum(*effects)
    return out
