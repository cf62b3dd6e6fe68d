"""Loading functions of C: a source is compiled, a shared library is opened, and the functions are declared."""

from __future__ import annotations

import ctypes
import functools
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.foreign_code import first_line
from normcheck.frameworks.c.call import CFunction, backward_of, forward_of
from normcheck.frameworks.c.declaration import declared

SOURCES = {".c": ("CC", "cc"), ".cc": ("CXX", "c++"), ".cpp": ("CXX", "c++"), ".cxx": ("CXX", "c++")}
"""Endings of sources, with the variable that names the compiler, and its usual name."""

LIBRARIES = (".so", ".dylib", ".dll")
"""Endings of shared libraries."""

BACKWARD = ("_backward", "_bwd")
"""What is added to the name of a function, or takes the place of _forward or _fwd in it, in that of its backward."""


def is_c(place: str) -> bool:
    """Whether a target is in a source of C or a shared library."""
    return Path(place).suffix in (*SOURCES, *LIBRARIES)


def load(path: Path, name: str, declaration: str) -> Any:
    """A function of C as one of numpy arrays; a pair (forward, backward) if there is a backward function too.

    declaration: of the functions, as in a header; empty: that of a source, or of a header beside a library. Raises
    `UsageError` for what cannot be compiled, opened, found or called.
    """
    if not path.is_file():
        raise UsageError(f"{path}:{name}: there is no file {str(path)!r} (relative to {Path.cwd()})")
    library = _library(path.resolve(), path.stat().st_mtime_ns)
    text = declaration or _declarations(path)
    forward = _function(library, text, name)
    if forward is None:
        reason = "it is not declared, or not exported" if text else "a shared library needs a header beside it"
        example = f"{path}:{name}(declaration='void {name}(const float *x, float *y, int rows, int n, float eps);')"
        raise UsageError(f"{path}:{name}: {reason}; declare it, as in {example}")
    stem = name.removesuffix("_forward").removesuffix("_fwd")
    backward = next((one for end in BACKWARD if (one := _function(library, text, stem + end))), None)
    return forward_of(forward) if backward is None else (forward_of(forward), backward_of(backward))


def _function(library: Any, text: str, name: str) -> CFunction | None:
    parameters = declared(text, name)
    call = getattr(library, name, None)
    if parameters is None or call is None:
        return None
    call.argtypes = [ctypes.c_void_p if one.pointer else one.type for one in parameters]
    call.restype = None
    return CFunction(name, call, parameters)


def _declarations(path: Path) -> str:
    """The text of a source, or of the header beside a library."""
    place = path if path.suffix in SOURCES else path.with_name(path.stem.removeprefix("lib") + ".h")
    try:
        return place.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@functools.cache
def _library(path: Path, changed: int) -> Any:
    """An open library. changed: when its file was written, so that a new one is read anew."""
    try:
        if path.suffix in LIBRARIES:
            return ctypes.CDLL(str(path))
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # an open library needs no file
            return ctypes.CDLL(str(_compiled(path, Path(folder))))
    except OSError as error:
        raise UsageError(f"{path.name} cannot be opened: {first_line(error)}") from None


def _compiled(path: Path, folder: Path) -> Path:
    variable, usual = SOURCES[path.suffix]
    compiler = shlex.split(os.environ.get(variable, usual))
    out = folder / f"{path.stem}.so"
    command = [*compiler, "-O2", "-fPIC", "-shared", str(path), "-o", str(out), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # the user's compiler
    except OSError:
        raise UsageError(
            f"{path.name} is not compiled: there is no {compiler[0]}; install a compiler, or name one in {variable}"
        ) from None
    if done.returncode:
        lines = done.stderr.splitlines()
        line = next((one for one in lines if "error:" in one), lines[-1] if lines else "no message")
        raise UsageError(f"{path.name} is not compiled: {line.replace(str(path), path.name)}")
    return out
