"""What a project has: its packages, and the file in which pytest reads its options."""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from normcheck.core.errors import UsageError
from normcheck.engine.survey.libraries import NOT_SEARCHED, Library, library

SOURCE = "src"
"""The folder of packages that must be installed before they can be imported."""

PYPROJECT = "pyproject.toml"

ALWAYS_READ = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
"""Files from which pytest reads its options wherever they exist, before all others."""

OTHERS = {"tox.ini": "pytest", "setup.cfg": "tool:pytest"}
"""Files from which it reads them if they have this section, and pyproject.toml has no table."""


def packages(folder: Path) -> tuple[Library, ...]:
    """The packages and modules of a project that define names of normalizers.

    Raises `UsageError` where there is none, and where one must be installed first.
    """
    names = list(dict.fromkeys(_names(folder)))
    if not names:
        raise UsageError(f"{folder} has no Python package: run normcheck init in the folder of a project")
    found = [one for one in (_library(name, folder) for name in names) if any(module.names for module in one.modules)]
    if not found:
        raise UsageError(
            f"{', '.join(names)}: no class or function there has the name of a normalizer, such as RMSNorm; name the "
            "callable yourself, as in normcheck layer_norm=mypkg.layers:Standardize"
        )
    return tuple(found)


def _names(folder: Path) -> Iterator[str]:
    for place in (folder / SOURCE, folder):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            code = (path / "__init__.py").is_file() or (path.suffix == ".py" and not path.stem.startswith("test_"))
            if code and path.stem.isidentifier() and path.stem not in (*NOT_SEARCHED, SOURCE):
                yield path.stem


def _library(name: str, folder: Path) -> Library:
    """The package as it is imported; of the same name may be another one that is installed."""
    with suppress(UsageError):
        found = library(name)
        if found.place.resolve().is_relative_to(folder.resolve()):
            return found
    raise UsageError(f"{name} of {folder} cannot be imported from there: pip install -e {folder} first")


def options_elsewhere(folder: Path) -> str:
    """The name of the file in which pytest reads its options, where that is not pyproject.toml; else empty."""
    always = next((name for name in ALWAYS_READ if (folder / name).is_file()), "")
    return always or ("" if _has_table(folder / PYPROJECT) else _with_section(folder))


def _has_table(path: Path) -> bool:
    with suppress(OSError, ValueError, RecursionError):
        tool = tomllib.loads(path.read_text("utf-8")).get("tool", {})
        return "pytest" in tool
    return False


def _with_section(folder: Path) -> str:
    for name, section in OTHERS.items():
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        with suppress(configparser.Error, UnicodeDecodeError):
            parser.read(folder / name, encoding="utf-8")
        if parser.has_section(section):
            return name
    return ""
