"""What the project itself says in [tool.normcheck], beside the options of pytest, which come first."""

from __future__ import annotations

from typing import Any

import pytest

TABLE = pytest.StashKey[Any]()
"""On the config: the table of the project; None where it has none."""


def read(config: pytest.Config) -> None:
    """Read the table once. Raises `pytest.UsageError` for what it cannot mean."""
    path = config.rootpath / "pyproject.toml"
    config.stash[TABLE] = None
    if not path.is_file() or b"normcheck" not in path.read_bytes():  # most projects: nothing more is loaded
        return
    from normcheck.core.errors import UsageError
    from normcheck.engine.project_table import project_table

    try:
        config.stash[TABLE] = project_table(path)
    except UsageError as error:
        raise pytest.UsageError(f"normcheck: {error}") from None


def said(config: pytest.Config, key: str, otherwise: Any = None) -> Any:
    """The value of a key of the table, or another where the table has none."""
    table = config.stash[TABLE]
    return (getattr(table, key) if table is not None else None) or otherwise


def words(config: pytest.Config) -> list[str]:
    """The conventions that the table declares for all implementations, as KEY=VALUE."""
    table = config.stash[TABLE]
    return [] if table is None else [f"{key}={value}" for key, value in table.contract.items()]


def effort(config: pytest.Config) -> str:
    """The effort that is chosen: by an option, by pytest's configuration, by the table, in this order."""
    chosen: str = config.getoption("norm_effort") or config.getini("norm_effort") or said(config, "effort", "default")
    return chosen
