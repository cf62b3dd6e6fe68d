"""Long lists of like cases: each push runs a share of them, `.ci/run sweeps` all.

A list that has hundreds of pieces of code, faults or contracts takes minutes, and most of its members take the same
ways through the program. `pytest tests` runs some of each group; the others have the mark `sweep`, which the option
`-m` in pyproject.toml leaves out and `pytest tests -m sweep` chooses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import pytest


def sweep(
    names: str | tuple[str, ...],
    values: Iterable[Any],
    *,
    of: int = 3,
    group: Callable[[Any], Hashable] = lambda value: None,
    ids: Callable[[Any], str] | None = None,
) -> pytest.MarkDecorator:
    """Parametrize a test; in each group the first of every `of` values is run on each push."""
    return pytest.mark.parametrize(names, [*_marked(values, of, group)], ids=ids)


def _marked(values: Iterable[Any], of: int, group: Callable[[Any], Hashable]) -> Iterable[Any]:
    before: Counter[Hashable] = Counter()
    for value in values:
        key = group(value)
        whole = value if isinstance(value, tuple) else (value,)
        yield pytest.param(*whole, marks=() if before[key] % of == 0 else pytest.mark.sweep)
        before[key] += 1
