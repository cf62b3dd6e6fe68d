"""Progress of the self-check on a terminal: it takes minutes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from normcheck.engine.self_check import MutationScore


def shown(scores: Iterator[MutationScore], total: int) -> Iterator[MutationScore]:
    """The scores, while a line on stderr counts them, with the time left, and names each fault that gets through.

    In a pipe, on a terminal that cannot erase, and where `CI` is set, nothing is shown.
    """
    console = Console(stderr=True, highlight=False)
    hidden = not console.is_terminal or console.is_dumb_terminal or bool(os.environ.get("CI"))
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    missed = 0
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("known faults", total=total)
        for one in scores:
            if not one.check:
                missed += 1
                if not hidden:
                    progress.print(f"gets through: {one.fault} in {one.kind}", markup=False)
            progress.update(task, advance=1, description=f"known faults, {missed} got through")
            yield one
