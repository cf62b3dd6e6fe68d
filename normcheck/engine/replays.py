"""The command that runs one case again, and the draw of a finding."""

from __future__ import annotations

import shlex
from typing import Any

from normcheck.core.check import Check
from normcheck.core.contract import contract, words
from normcheck.core.device import DEVICE, PROCESSOR
from normcheck.core.errors import NormcheckError, UsageError, shortened
from normcheck.core.foreign_code import first_line
from normcheck.core.replay import encode
from normcheck.core.result import Finding
from normcheck.core.subject import BoundSubject
from normcheck.engine.claims import Claim
from normcheck.engine.settings import replayed_case


def draw_of(check: Check, subject: BoundSubject, found: Finding) -> Any:
    """The draw of the smallest case of a finding whose replay ids are not commands yet."""
    return check.space.adapt(subject, replayed_case(found.smallest or found.replay)[1])


def replayed_draw(subject: BoundSubject, check: Check, draw: Any) -> Any:
    """The draw of a replay id for this subject. Raises `UsageError` if no case follows from it."""
    try:
        made = check.space.adapt(subject, draw)
        check.space.recipe(subject.entry, made)
    except NormcheckError:
        raise
    except Exception as error:
        text = shortened(encode(check.name, draw))
        raise UsageError(f"replay {text!r}: no case has these choices ({first_line(error)})") from None
    return made


def replay_command(claim: Claim, subject: BoundSubject, case: str) -> str:
    """The command that runs one case again, under the contract of the subject. case: its replay id."""
    implementation = claim.implementation
    assert implementation is not None, "a claim with an error has no case"
    declared = implementation.contract
    if contract(declared) != subject.contract:
        declared = words(subject.contract)
    # the id of a case has its shape
    parts = [f"--norm-contract {key}={value}" for key, value in declared.items() if key != "input-shapes"]
    where = [] if DEVICE.get() == PROCESSOR else [f"--norm-device {DEVICE.get()}"]
    replay = " ".join([*parts, *where, f"--norm-replay {shlex.quote(case)}"])
    if not isinstance(implementation.target, str):
        return f"pytest {replay}, on the test that calls normcheck.verify(..., as_={claim.kind!r})"
    return f"pytest --norm {shlex.quote(f'{claim.kind}={claim.name}')} {replay}"
