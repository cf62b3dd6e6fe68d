"""The forms in which a run is written to a file; each is implemented by the module of that name."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from normcheck.core.atomic_write import atomic_write, try_write
from normcheck.core.errors import UsageError
from normcheck.core.foreign_code import first_line
from normcheck.core.safe_text import safe_record
from normcheck.core.version import __version__
from normcheck.report import schema

FORMS = {
    "json": "the run as a JSON document",
    "html": "the run as one self-contained page",
    "sarif": "the causes of findings as SARIF 2.1.0, for code-scanning services",
    "gitlab": "the causes of findings as a code-quality report of GitLab",
    "badge": "a badge: an SVG picture for a FILE.svg, else JSON for shields.io",
    "markdown": "the run as markdown, as in the summary of a GitHub job",
}
"""The name and description of each form."""

PAGES = ("html",)
"""The forms that people look at in a browser; the others are for services."""

REQUIRED_LIBRARIES = {"html": ("jinja2", "matplotlib")}
"""Libraries that a form needs; they come with the extra `report`."""


def require_libraries(form: str) -> None:
    """Raise `UsageError` if a form needs a library that is not installed."""
    missing = [name for name in REQUIRED_LIBRARIES.get(form, ()) if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the form {form} needs {' and '.join(missing)}: pip install 'normcheck[report]'")


def require_places(paths: Iterable[tuple[str, Path]]) -> None:
    """Raise `UsageError` if a form needs a library, a file cannot be written, or two forms have the same file."""
    seen: dict[Path, str] = {}
    for form, path in paths:
        require_libraries(form)
        try:
            try_write(path)
        except OSError as error:
            raise UsageError(f"cannot write {path} ({form}): {error.strerror or first_line(error)}") from None
        place = path.resolve()
        if place.is_file() or not place.exists():
            other = seen.setdefault(place, form)
            if other != form:
                raise UsageError(f"{path} is named for {other} and for {form}: name two files")


def text(run: Mapping[str, Any], form: str, path: Path, root: Path) -> str:
    """A run in one of the forms. path: of the file to write. root: the folder that is searched for source files."""
    if form == "json":
        return json.dumps(run, indent=1, allow_nan=False) + "\n"
    require_libraries(form)
    module = importlib.import_module(f"normcheck.report.{'page' if form in PAGES else 'services'}.{form}")
    writer: Callable[[Mapping[str, Any], Path, Path], str] = module.text
    return writer(run, path, root)


def write(run: Mapping[str, Any], form: str, path: Path, root: Path) -> None:
    """Write a run to a file, whole or not at all, and create its folder.

    Raises `UsageError` if the file cannot be written.
    """
    written = text(run, form, path, root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, written.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or first_line(error)}") from None


def write_each(run: Mapping[str, Any], paths: Iterable[tuple[str, Path]], root: Path) -> dict[Path, str]:
    """Write a run in several forms, each whatever becomes of the others.

    Returns the paths of the forms: empty for one that was written, else why it was not.
    """
    out = {}
    for form, path in paths:
        try:
            write(run, form, path, root)
        except UsageError as error:
            out[path] = str(error)
        except Exception as error:
            out[path] = f"cannot make {path}: {first_line(error)}"
        else:
            out[path] = ""
    return out


def read(path: Path) -> dict[str, Any]:
    """A run that was saved as JSON. Raises `UsageError` if the file cannot be read, or is no run of this version."""
    again = f"save one with --norm-json {path}"
    try:
        run = safe_record(json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=_no_number))
        newer, wrong = _is_newer(run), schema.violation(run)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 (byte {error.start + 1}): {again}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply for a run of normcheck: {again}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    if newer:
        raise UsageError(
            f"{path} was written by normcheck {run['normcheck']}, and this is {__version__}: "
            "update it with pip install --upgrade normcheck"
        )
    if wrong:
        raise UsageError(f"{path} is not a run of normcheck {__version__}: {wrong}; {again}")
    made: dict[str, Any] = run
    return made


def _no_number(word: str) -> None:
    raise ValueError(f"it has {word}, which is no number of JSON")


def _is_newer(run: Any) -> bool:
    """Whether a document names a later version than this one."""
    named = run.get("normcheck") if isinstance(run, dict) else None
    return isinstance(named, str) and _numbers(named) > _numbers(__version__)


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version; empty if it begins with none."""
    found = re.match(r"\d{1,9}(?:\.\d{1,9})*", version, re.ASCII)
    return tuple(map(int, found[0].split("."))) if found else ()
