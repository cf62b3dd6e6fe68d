"""Programs that a tool makes of an implementation, which a contract can demand: whether they can be made here."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from normcheck.core import uses

PACKAGES = {"onnx": ("onnx", "onnxruntime", "onnxscript")}
"""What has to be installed for a program, beside the framework: the extra `onnx-export`."""

CALLS = {"compiled": uses.COMPILED, "exported": uses.EXPORTED_FOR_ONE, "onnx": uses.ONNX_FOR_ONE}
"""A way of calling each program: code has the program if it can be called so."""


def untranslated(programs: Iterable[str], offered: Iterable[str]) -> str:
    """Why a program cannot be made, in one sentence; empty if all can. offered: the ways of calling of the code."""
    for name in programs:
        if CALLS[name] not in offered:
            return f"translated={name}: no such program can be made of code of this kind"
        missing = [package for package in PACKAGES.get(name, ()) if not _installed(package)]
        if missing:
            return f"translated={name} needs {', '.join(missing)}: pip install 'normcheck[{name}-export]'"
    return ""


def _installed(package: str) -> bool:
    """Whether a package can be imported; a folder of that name without a module is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None
