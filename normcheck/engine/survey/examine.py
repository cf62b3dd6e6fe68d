"""What the process of one callable does: it finds out what it is, and checks it as that."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from normcheck import families
from normcheck.core.errors import CallError, UsageError
from normcheck.core.events import outcomes_of, record
from normcheck.core.foreign_code import first_line
from normcheck.core.result import ERROR, FAILED, PASSED, number
from normcheck.core.safe_text import safe_record
from normcheck.core.subject import BoundSubject
from normcheck.engine import claims, run
from normcheck.engine.batch import answers
from normcheck.engine.batch.process import Send
from normcheck.engine.batch.side_by_side import DONE, RAISED
from normcheck.engine.batch.tasks import Task
from normcheck.engine.conditions import run_conditions
from normcheck.engine.settings import Settings
from normcheck.engine.survey.reproductions import reproductions

RIGHT, CONVENTION, FINDING, UNDECIDED, UNKNOWN, UNBOUND, STOPPED = (
    "right", "convention", "finding", "undecided", "unknown", "unbound", "stopped",
)  # fmt: skip

STANDINGS = {
    RIGHT: "every check holds, under torch's conventions",
    CONVENTION: "every check holds, under conventions of its own, which were measured",
    FINDING: "a check does not hold, under the conventions that were measured",
    UNDECIDED: "nothing could be compared",
    UNKNOWN: "can be called as a normalizer, and behaves as none that is known",
    UNBOUND: "cannot be called as a normalizer, for the reason given",
    STOPPED: "its process crashed, or exceeded its limits of time or memory",
}
"""What a survey can say of a callable."""

MEANS = {True: "the mean is subtracted", False: "the mean is not subtracted",
         None: "the mean is neither kept nor subtracted"}  # fmt: skip
"""What is said of the mean, by whether it is subtracted."""

IDENTITY, REFUSED, SPEED = "identity", "refused", "speed"
"""Keys of records: what the callable is, as measured; why it cannot be called as any kind; how fast it is."""

Speed = Callable[[BoundSubject], Mapping[str, Any]]
"""Times a bound implementation: a record with the keys `value`, `low`, `high` and `baseline`, or `absent`, a reason."""


def examine(task: Task, speed: Speed | None, send: Send) -> None:
    """Send what a callable is, and each event of its checks under the conventions that were measured.

    speed: times it where no check fails; None: it is not timed.
    """
    try:
        _examine(task, speed, send)
    except BaseException as error:  # code under test may raise anything, pytest.skip or SystemExit too
        send({RAISED: first_line(error)})
    else:
        send({DONE: True})


def _examine(task: Task, speed: Speed | None, send: Send) -> None:
    try:
        found = families.identify(task.target)
    except (UsageError, CallError) as error:
        send({REFUSED: str(error)})
        return
    except Exception as error:
        send({REFUSED: f"measuring it raises {first_line(error)}"})
        return
    identity = found.record()
    kind, contract = found.kind, dict(found.contract)
    if not kind:
        kind = families.claimed(task.target)
        contract = _own_eps(identity) if kind else contract
    send({IDENTITY: identity | {"kind": kind, "contract": contract}})
    if kind:
        claim = claims.claim((kind, task.target), contract)
        wrong = False
        with closing(run.events([claim], Settings(task.effort))) as events:
            for event in events:
                send(record(event))
                wrong |= any(outcome.status in (FAILED, ERROR) for outcome in outcomes_of([event]))
        if speed is not None and claim.implementation is not None and not wrong:
            with run_conditions():
                send({SPEED: dict(speed(families.bind(claim.implementation)))})


def _own_eps(identity: Mapping[str, Any]) -> dict[str, str]:
    """The eps to declare for code that takes none and computes no kind, so that no other eps counts against it."""
    values = [float(one) for one in identity["eps"].values()]
    fixed = identity["eps_argument"] == "none" and all(map(math.isfinite, values))
    return {"eps": repr(max(values))} if values and fixed else {}


def row(task: Task, records: Sequence[Mapping[str, Any]], failure: str, elapsed: float) -> dict[str, Any]:
    """The row of a callable, from what its process sent. failure: why that did not reach its end; empty if it did."""
    sent = {key: value for one in records for key, value in one.items() if key in (IDENTITY, REFUSED, SPEED)}
    answer = answers.answer(task, task.target, records, failure, elapsed)
    made = {key: value for key, value in answer.items() if key not in answers.OWN}
    card: dict[str, Any] = {}
    try:
        if IDENTITY in sent:
            card = _card(sent[IDENTITY])
    except (KeyError, TypeError, ValueError, AttributeError):  # the code under test may have written to the connection
        failure = failure or "it sends what is no result"
    standing, reason = _standing(made, card, str(sent.get(REFUSED, "")), failure)
    found: dict[str, Any] = safe_record({
        "target": task.target, "standing": standing, "reason": _without(task.target, reason),
        "kind": card.get("kind", ""), "elapsed": round(elapsed, 1), "card": card,
        "record": made if card.get("kind") else None,
        "reproductions": reproductions(made) if standing == FINDING else [],
        "speed": _speed(sent.get(SPEED)) if standing in (RIGHT, CONVENTION) else {},
    })  # fmt: skip
    return found


def _speed(sent: Any) -> dict[str, Any]:
    """What was measured of its speed; empty where that is no measurement, as code under test may send anything."""
    if not isinstance(sent, Mapping):
        return {}
    if isinstance(sent.get("absent"), str):
        return {"absent": sent["absent"]}
    numbers = {key: one for key in ("value", "low", "high") if isinstance(one := sent.get(key), float)}
    words = {key: one for key in ("baseline", "question") if isinstance(one := sent.get(key), str)}
    return {**words, **numbers} if len(numbers) + len(words) == 5 and all(map(math.isfinite, numbers.values())) else {}


def _without(target: str, reason: str) -> str:
    """A reason without the name of the target, beside which it is written, and without how to name another kind."""
    for word in (f"{target}: ", f"{target} "):
        reason = reason.replace(word, "")
    return reason.partition("; `normcheck adapt")[0]


def _card(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What a report shows of an identity: kind, statistic, eps, contract, and the offset up to which it is accurate."""
    offset = identity["largest_offset"]
    return {
        "kind": str(identity["kind"]),
        "nearest": [str(one["kind"]) for one in identity["nearest"][:1]],
        "shares": str(identity["shares"]),
        "scaled_by": str(identity["scaled_by"]) + (f", divisor {identity['divisor']}" if identity["divisor"] else ""),
        "running": dict(identity["running"]) if identity["running"] else None,
        "momentum": identity["momentum"] if identity["running"] else None,
        "centered": None if identity["centered"] is None else bool(identity["centered"]),
        "contract": {str(key): str(value) for key, value in identity["contract"].items()},
        "eps": {str(format): number(float(value)) for format, value in identity["eps"].items()},
        "eps_place": str(identity["eps_place"]),
        "gradient": str((identity["gradient"] or {"mode": ""})["mode"]),
        "offset": None if offset is None else number(float(offset)),
    }


def _standing(made: Mapping[str, Any], card: Mapping[str, Any], refused: str, failure: str) -> tuple[str, str]:
    """What is said of a callable, and why where that is no verdict."""
    if failure:
        return STOPPED, failure
    if not card:
        return UNBOUND, refused
    if not card["kind"]:
        near = f"nearest is {card['nearest'][0]}; " if card["nearest"] else ""
        return UNKNOWN, f"{near}it shares {card['shares']}; {MEANS[card['centered']]}; scaled by {card['scaled_by']}"
    if made["verdict"] == ERROR:
        return (STOPPED if made["compared"] else UNBOUND), "; ".join(made["errors"])
    return _word(made), ""


def _word(made: Mapping[str, Any]) -> str:
    """The standing that follows from a verdict."""
    if made["verdict"] not in (FAILED, PASSED):
        return UNDECIDED
    if made["verdict"] == FAILED and not all(one["declare"] for one in made["causes"]):
        return FINDING
    return CONVENTION if made["contract"] or made["causes"] else RIGHT
