"""The space of cases of a check: the interface through which every family's cases are drawn.

The engine, the replay of cases and the diagnosis know nothing else of a family's cases. `normalizers.sampling.space`
implements it for normalizers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, Protocol

Pick = Callable[[Sequence[Any]], Any]
"""Chooses one element of a sequence; the first element is the simplest."""


class CaseSpace(Protocol):
    """The draws of a check. A draw is a frozen dataclass with a default for each field; it determines a case.

    A case of any family has the method `describe() -> dict`, which returns the case as a few plain values.
    """

    @property
    def entries(self) -> type:
        """The type of the catalog entries that the check applies to; it identifies the family."""
        ...

    @property
    def plain(self) -> Any:
        """The ordinary draw; a replay id contains only the fields that differ from it."""
        ...

    @property
    def recipe(self) -> Callable[[Any, Any], Any]:
        """The function from entry and draw to the case."""
        ...

    def unsupported_reason(self, subject: Any) -> str:
        """Why the subject supports no draw of this space; empty if it supports one."""
        ...

    def explicit_examples(self, subject: Any) -> Iterator[Any]:
        """The draws that are always run, the most decisive first."""
        ...

    def sample(self, subject: Any, pick: Pick) -> Any:
        """One draw that the subject supports, each field chosen by `pick`."""
        ...

    def adapt(self, subject: Any, draw: Any) -> Any:
        """A draw of any origin with every field that this subject does not support replaced by one that it supports."""
        ...

    def words(self) -> str:
        """A description of the draws in one sentence."""
        ...


class ChoiceSpace:
    """A `CaseSpace` of independent choices, to be subclassed by a frozen dataclass.

    The subclass has the field `recipe` and, for each choice, a field with a tuple of options, the ordinary one first.
    The draw has a field of the same name for each choice, and a seed.
    """

    __slots__ = ()
    plain: ClassVar[Any]

    def able(self, subject: Any, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """The options of each choice other than the format that a subject supports."""
        raise NotImplementedError

    def _served(self, subject: Any, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        formats = tuple(name for name in choices["format"] if name in subject.domain.formats)
        return self.able(subject, choices | {"format": formats})

    def options(self, subject: Any) -> dict[str, tuple[Any, ...]]:
        """The options of each choice that the subject supports."""
        instance: Any = self
        return self._served(subject, {f.name: getattr(self, f.name) for f in fields(instance) if f.name != "recipe"})

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
        """The ordinary draw in each format, then every other option once, with the formats in rotation."""
        options = self.options(subject)
        plain = replace(self.plain, **{name: some[0] for name, some in options.items()})
        formats = options.pop("format")
        yield from (replace(plain, format=format) for format in formats)
        for i, (name, value) in enumerate((name, v) for name, some in options.items() for v in some[1:]):
            yield replace(plain, seed=i + 1, format=formats[i % len(formats)], **{name: value})
