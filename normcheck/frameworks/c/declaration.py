"""Declarations of functions in C: the names and types of their parameters, read from a source or a text."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from normcheck.core.errors import UsageError

FLOATS: dict[str, Any] = {"float": ctypes.c_float, "double": ctypes.c_double}

INTEGERS: dict[str, Any] = {
    "int": ctypes.c_int, "unsigned": ctypes.c_uint, "unsigned int": ctypes.c_uint, "bool": ctypes.c_bool,
    "long": ctypes.c_long, "long long": ctypes.c_longlong, "unsigned long": ctypes.c_ulong, "size_t": ctypes.c_size_t,
    "ptrdiff_t": ctypes.c_ssize_t, "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
}  # fmt: skip

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
QUALIFIERS = re.compile(r"\b(restrict|__restrict__|__restrict|volatile|const|std::|struct)\b")


@dataclass(frozen=True, slots=True)
class CParameter:
    """One parameter: its name, the type of its value or of the numbers that it points to."""

    name: str
    type: Any
    pointer: bool
    constant: bool  # what it points to is not written to

    @property
    def integer(self) -> bool:
        """Whether it is a whole number, as a size is."""
        return not self.pointer and self.type not in FLOATS.values()


def declared(text: str, name: str) -> tuple[CParameter, ...] | None:
    """The parameters of a function that a text declares or defines; None if there is none of that name.

    Raises `UsageError` for a parameter of a type that is not known.

    >>> [one.name for one in declared("void f(const float *x, float* y, int n, float eps);", "f")]
    ['x', 'y', 'n', 'eps']
    """
    plain = COMMENT.sub(" ", text)
    found = re.search(rf"\bvoid\s+{re.escape(name)}\s*\(([^()]*)\)", plain)
    if found is None:
        return None
    return tuple(_parameter(one, name) for one in found[1].split(",") if one.strip() not in ("", "void"))


def _parameter(text: str, function: str) -> CParameter:
    constant = re.search(r"\bconst\b", text) is not None
    words = QUALIFIERS.sub(" ", text).replace("[]", " ").replace("*", " * ").split()
    pointer = "*" in words or "[]" in text
    *kind, name = [word for word in words if word != "*"] or [""]
    type_ = (FLOATS | ({} if pointer else INTEGERS)).get(" ".join(kind))
    if type_ is None or not name.isidentifier():
        known = ", ".join([*FLOATS, *(f"{one}*" for one in FLOATS), *INTEGERS])
        raise UsageError(f"{function} has a parameter {text.strip()!r}, which is not called: known types are {known}")
    return CParameter(name, type_, pointer, constant)


def names(parameters: Iterable[CParameter]) -> str:
    """The names of parameters, for messages."""
    return ", ".join(one.name for one in parameters)
