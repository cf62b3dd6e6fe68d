"""The eager composition of a normalizer: its formula in basic operators, in the order in which published code has them.

x in float32 or wider, minus its mean if that is subtracted, times rsqrt(mean of squares + eps), rounded to the format
of the input, times the weight, plus the bias. Under cast=after-weight it is rounded last.
"""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.core.contract import Contract
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.cast_order import AFTER

COMPOSITION = "composition"
"""The value of `Contract.exact_to` that demands its bits."""


def composed(n: Normalizer) -> bool:
    """Whether a composition is defined: of an activation that is divided by the root of a mean of squares."""
    return n.acts_on == "activation" and n.scaled and n.mean_square


def undefined(n: Normalizer, contract: Contract) -> str:
    """Why no composition is defined under a contract; empty if one is."""
    if not composed(n):
        return none_for(n.name)
    for key, value, usual in (("variance", contract.variance, "biased"), ("eps-place", contract.eps_place, "inside")):
        if value != usual:
            return none_for(f"{key}={value}")
    return ""


def none_for(what: str) -> str:
    """The sentence by which a demand for the bits of a composition is refused."""
    return f"no composition of basic operators is defined for {what}"


def steps(n: Normalizer, contract: Contract = Contract()) -> Iterator[str]:  # noqa: B008  # frozen value
    """The steps in their order, in words; none if no composition is defined."""
    if undefined(n, contract):
        return
    yield "x in float32 or wider"
    if n.centered:
        yield "minus its mean"
    yield f"times rsqrt(mean of {'the first squares' if n.partial else 'squares'} + eps)"
    gain = "times (1 + weight)" if contract.weight == "1+w" else "times weight"
    cast = "in the format of the input"
    affine = [one for one, there in ((gain, n.weight), ("plus bias", n.bias)) if there]
    yield from (*affine, cast) if contract.cast == AFTER else (cast, *affine)
