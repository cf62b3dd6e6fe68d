"""The form groups: norms of heads, where the last axis falls into groups that are normalized by themselves.

Code gets the number of groups or the size of a group, in its call or its constructor, and a weight as wide as a row or
as a group. Source: Dao and Gu 2024 (Mamba 2), section 7.3.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

from normcheck.frameworks.forms import names
from normcheck.frameworks.forms.form import (
    Around,
    FormCall,
    FormedClaim,
    FormQuestion,
    FormSpec,
    Given,
    as_returned,
)
from normcheck.normalizers.case import Case
from normcheck.normalizers.forms import OF_BOTH, OTHER, PLAIN
from normcheck.normalizers.grouped import GROUPS, grouped, plain_answer
from normcheck.normalizers.subject import Answer, Call


def _own_weights(claim: FormedClaim) -> bool:
    """Whether groups get weights of their own: 1 + w times a power of two is rounded, and a new residual has none."""
    return claim.contract.weight == "w" and claim.use not in (OTHER, OF_BOTH)


def _wide(call: Call, claim: FormedClaim, *, full: bool) -> Call:
    own = _own_weights(claim)

    def grouping(case: Case, gradient: bool) -> Answer:
        return plain_answer(call(grouped(case, full=full, own=own), gradient), case, full=full, own=own)

    return grouping


def _tried(call: Call, claim: FormedClaim, *, full: bool) -> Call:
    """The trial of a call, which returns nothing."""
    return lambda case, gradient: call(grouped(case, full=full, own=_own_weights(claim)), gradient)


def _given(question: FormQuestion, role: str, value: Callable[[int], int]) -> Given:
    return {"input": question.x, role: value(question.shape[-1])}


def _form(role: str, *, full: bool) -> FormSpec:
    known, value = ROLES[role]
    around = Around(call=partial(_wide, full=full), trial=partial(_tried, full=full), layouts=False)
    call = FormCall(partial(_given, role=role, value=value), as_returned, around)
    return FormSpec({role: known}, {PLAIN: call}, constructed=value)


ROLES: dict[str, tuple[tuple[str, ...], Callable[[int], int]]] = {
    "size": (names.GROUP_SIZE, lambda width: width // GROUPS),
    "number": (names.GROUP_COUNT, lambda width: GROUPS),
}
"""What tells code its groups: the names of the parameter, and its value for a row of some width."""

FORMS = tuple(_form(role, full=full) for role, full in product(ROLES, (True, False)))
