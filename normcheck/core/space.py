"""Which cases a check wants: the small interface between a check and whoever asks it, the same for every family.

`draws.Space` is the one for normalizers. Search, sweep and replay know no more of a family than what is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, Protocol

Pick = Callable[[Sequence[Any]], Any]
"""Chooses one of a sequence; the first is the simplest."""


class CaseSpace(Protocol):
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

    def unsupported_reason(self, subject: Any) -> str:
        """Why no draw suits a subject; empty if one does."""
        ...

    def explicit_examples(self, subject: Any) -> Iterator[Any]:
        """The draws that are always tried, the decisive ones first."""
        ...

    def sample(self, subject: Any, pick: Pick) -> Any:
        """One draw."""
        ...

    def adapt(self, subject: Any, draw: Any) -> Any:
        """A draw from elsewhere with what this subject cannot change."""
        ...

    def words(self) -> str:
        """What is drawn, in one sentence."""
        ...


class ChoiceSpace:
    """`Cases` as independent choices: a frozen dataclass with `recipe` and, for each choice, a tuple, plain one first.

    The draw has a field of the same name for each choice, and a seed.
    """

    __slots__ = ()
    plain: ClassVar[Any]

    def able(self, subject: Any, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """The choices beside the format that a subject serves."""
        raise NotImplementedError

    def _served(self, subject: Any, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        formats = tuple(name for name in choices["format"] if name in subject.domain.formats)
        return self.able(subject, choices | {"format": formats})

    def options(self, subject: Any) -> dict[str, tuple[Any, ...]]:
        """What there is to choose from, as far as the subject serves it."""
        held: Any = self
        return self._served(subject, {f.name: getattr(self, f.name) for f in fields(held) if f.name != "recipe"})

    def unsupported_reason(self, subject: Any) -> str:
        empty = [name for name, some in self.options(subject).items() if not some]
        return f"serves no {' and no '.join(empty)} of this check" if empty else ""

    def adapt(self, subject: Any, draw: Any) -> Any:
        options = self.options(subject)
        served = self._served(subject, {name: (getattr(draw, name),) for name in options})
        return replace(draw, **{name: (some or options[name])[0] for name, some in served.items()})

    def sample(self, subject: Any, pick: Pick) -> Any:
        some = {name: pick(options) for name, options in self.options(subject).items()}
        return replace(self.plain, seed=pick(range(1 << 16)), **some)

    def explicit_examples(self, subject: Any) -> Iterator[Any]:
        """The plain draw in each format, then each other choice once, in turn with the formats."""
        options = self.options(subject)
        plain = replace(self.plain, **{name: some[0] for name, some in options.items()})
        formats = options.pop("format")
        yield from (replace(plain, format=format) for format in formats)
        for i, (name, value) in enumerate((name, v) for name, some in options.items() for v in some[1:]):
            yield replace(plain, seed=i + 1, format=formats[i % len(formats)], **{name: value})
