"""Loading the object that the text of a target names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from normcheck.core.errors import UsageError, suggest
from normcheck.core.foreign_code import ENDS, first_line
from normcheck.core.target import TargetText, target_of
from normcheck.core.working_directory import import_from_here
from normcheck.frameworks.c import library
from normcheck.frameworks.c.library import is_c
from normcheck.frameworks.fixed import with_arguments

DECLARATION = "declaration"
"""The argument of a target in a shared library that declares its functions, as a header does."""


def _from_file(path: Path, target: str) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{target}: there is no file {str(path)!r} (relative to {Path.cwd()})")
    name = f"_normcheck_target_{path.stem}_{abs(hash(str(path.resolve()))):x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{target}: {str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:  # so that the file's own imports of its neighbors work
        sys.path.append(folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def load(target: str) -> Any:
    """The object that a target names, with the arguments of the target fixed.

    Raises `UsageError` for a missing file, module or attribute, for arguments that it does not take, and for code that
    raises an exception when imported.
    """
    text = target_of(target)
    place, target = text.place, text.plain
    if is_c(place):
        return _from_c(text)
    try:
        if place.endswith(".py") or "/" in place:
            found: Any = _from_file(Path(place).expanduser(), target)
        else:
            import_from_here()
            found = importlib.import_module(place)
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(error.name + ".")):
            hint = "is it installed, or is the working directory another?"
            raise UsageError(f"{target}: there is no module {error.name!r}; {hint}") from None
        raise UsageError(f"{target}: importing {place!r} raised {first_line(error)}") from None
    except ENDS:
        raise
    except BaseException as error:
        raise UsageError(f"{target}: importing {place!r} raised {first_line(error)}") from None
    for part in text.attribute.split("."):
        found = _part(found, part, target, place)
    return with_arguments(found, text)


def loaded(target: Any) -> Any:
    """The object that the text of a target names; any other object is the target itself. Raises what `load` does."""
    return load(target) if isinstance(target, str) else target


def _from_c(text: TargetText) -> Any:
    """A function of C; the target may declare it. Other arguments are fixed."""
    kwargs = dict(text.kwargs)
    declaration = kwargs.pop(DECLARATION, "")
    found = library.load(Path(text.place).expanduser(), text.attribute, str(declaration))
    call = text.call if text.args or kwargs else ""
    return with_arguments(found, replace(text, call=call, kwargs=kwargs))


def _part(found: Any, part: str, target: str, place: str) -> Any:
    """An attribute of a module or class. Raises `UsageError` if there is none, or if reading it raises an exception."""
    try:
        return getattr(found, part)
    except AttributeError:
        names = [name for name in dir(found) if not name.startswith("_")]
        raise UsageError(f"{target}: {place!r} has no attribute {part!r}; {_suggestion(part, names)}") from None
    except ENDS:
        raise
    except BaseException as error:
        raise UsageError(f"{target}: reading {part!r} raised {first_line(error)}") from None


def _suggestion(word: str, names: list[str]) -> str:
    if not names:
        return "it defines nothing public"
    hint = suggest(word, names)
    return hint if hint.startswith("did") or len(names) <= 8 else "see its public names with dir()"
