"""How tests are distributed over the processes of pytest-xdist: an idle process takes some from another.

Checks differ in cost by a factor of a hundred. Distributed in equal numbers, which is the default of -n, they leave a
process idle at the end.
"""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The scheduler of a run; None leaves the choice to pytest-xdist, as where --dist names another one."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling  # type: ignore[import-untyped]  # xdist says no types

    return WorkStealingScheduling(config, log)
