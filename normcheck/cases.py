"""Which cases a check wants: the small interface between a check and whoever asks it, the same for every family.

`draws.Space` is the one for normalizers. Search, sweep and replay know no more of a family than what is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

Pick = Callable[[Sequence[Any]], Any]
"""Chooses one of a sequence; the first is the simplest."""


class Cases(Protocol):
    """What a check draws, and how. A draw is a frozen dataclass with a default for each choice; a case follows from it.

    A case has one method that everybody may call: `describe() -> dict`, the case in a few plain values.
    """

    @property
    def entries(self) -> type:
        """The type of the catalog entries of which the check is asked: this names the family."""
        ...

    @property
    def plain(self) -> Any:
        """The ordinary draw: a replay writes only what differs from it."""
        ...

    @property
    def recipe(self) -> Callable[[Any, Any], Any]:
        """From entry and draw to the case."""
        ...

    def refuses(self, subject: Any) -> str:
        """Why no draw suits a subject; empty if one does."""
        ...

    def always(self, subject: Any) -> Iterator[Any]:
        """The draws that are always tried, the decisive ones first."""
        ...

    def choose(self, subject: Any, pick: Pick) -> Any:
        """One draw."""
        ...

    def fit(self, subject: Any, draw: Any) -> Any:
        """A draw from elsewhere with what this subject cannot change."""
        ...

    def words(self) -> str:
        """What is drawn, in one sentence."""
        ...
