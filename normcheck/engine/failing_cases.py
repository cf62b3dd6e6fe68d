"""Cases on which a law did not hold in an earlier run, in an example database that a project shares.

Every run tries them first. The database is one of Hypothesis: bytes by key. The bytes are the replay id of a case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from normcheck.core.check import Check
from normcheck.core.errors import UsageError
from normcheck.core.replay import decode
from normcheck.core.subject import BoundSubject


class Database(Protocol):
    """The part of `hypothesis.database.ExampleDatabase` that is used."""

    def fetch(self, key: bytes) -> Iterable[bytes]: ...
    def save(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes, value: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class FailingCases:
    """The cases that a database holds; without a database nothing is stored."""

    database: Database | None = None

    def draws(self, subject: BoundSubject, check: Check) -> Iterator[Any]:
        """The draws with which this check of this target failed. One whose law holds now is deleted."""
        if self.database is None:
            return
        key = _key(subject, check)
        for value in sorted(self.database.fetch(key)):
            draw = _draw(value, check)
            if draw is not None:
                yield check.space.adapt(subject, draw)  # the caller continues the iteration only if the law holds
            self.database.delete(key, value)

    def keep(self, subject: BoundSubject, check: Check, replay: str) -> None:
        """Store the case of a finding. replay: its id."""
        if self.database is not None:
            self.database.save(_key(subject, check), replay.encode())


NOTHING = FailingCases()


def _key(subject: BoundSubject, check: Check) -> bytes:
    return f"normcheck {subject.entry.name}={subject.name} {check.name}".encode()


def _draw(value: bytes, check: Check) -> Any | None:
    """None for an id that another version has written and this one cannot read."""
    try:
        name, draw = decode(value.decode(), check.space.plain)
    except (UsageError, UnicodeDecodeError):
        return None
    return draw if name == check.name else None
