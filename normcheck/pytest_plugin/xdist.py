"""How questions are spread over the processes of pytest-xdist: whoever has none left takes some from another.

Questions differ in cost by a factor of a hundred. Handed out in equal numbers, which is what -n does by itself, they
leave a process idle at the end.
"""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The scheduler of a run; None leaves it to pytest-xdist, as whoever asks for another --dist has it."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling  # type: ignore[import-untyped]  # xdist says no types

    return WorkStealingScheduling(config, log)
