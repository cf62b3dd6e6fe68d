"""Cases that broke a law before, in an example database that a project shares: they are asked first, by everybody.

The database is one of Hypothesis: bytes by key. What is kept is the id of a case, as --norm-replay takes it.
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
    """What `hypothesis.database.ExampleDatabase` offers."""

    def fetch(self, key: bytes) -> Iterable[bytes]: ...
    def save(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes, value: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class FailingCases:
    """The cases that a database holds; without one nothing is kept."""

    database: Database | None = None

    def draws(self, subject: BoundSubject, check: Check) -> Iterator[Any]:
        """The draws with which this check of this target failed. One that is asked and holds is forgotten."""
        if self.database is None:
            return
        key = _key(subject, check)
        for value in sorted(self.database.fetch(key)):
            draw = _draw(value, check)
            if draw is not None:
                yield check.space.adapt(subject, draw)  # whoever asks goes on only if the law holds
            self.database.delete(key, value)

    def keep(self, subject: BoundSubject, check: Check, replay: str) -> None:
        """Keep the case of a finding."""
        if self.database is not None:
            self.database.save(_key(subject, check), replay.encode())


NOTHING = FailingCases()


def _key(subject: BoundSubject, check: Check) -> bytes:
    return f"normcheck {subject.entry.name}={subject.name} {check.name}".encode()


def _draw(value: bytes, check: Check) -> Any | None:
    """None for what an older or newer version has written and this one cannot read."""
    try:
        name, draw = decode(value.decode(), check.space.plain)
    except (UsageError, UnicodeDecodeError):
        return None
    return draw if name == check.name else None
