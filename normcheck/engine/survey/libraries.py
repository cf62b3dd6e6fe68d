"""Where the modules of a library are, and which of them define names of normalizers; nothing is imported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

from normcheck.core.errors import UsageError, shortened, suggest
from normcheck.frameworks.registry import NUMPY, REGISTERED

WORDS = re.compile(r"norm(?!al(?!i)|ous)|whiten|standardi[sz]", re.IGNORECASE)
"""What the name of a normalizer contains. The normal distribution and what is normally so have no such name."""

DEFINED = re.compile(
    r"^(?:class|(?:async\s+)?def)\s+(\w+)"
    r"|^[ \t]+class\s+(\w+)"
    r"|^[ \t]+def\s+(\w+)\s*\((?!\s*(?:self|cls)\b)"
    r"|^(\w+)\s*=\s*[\w.]+\(",
    re.MULTILINE,
)
"""Where a file defines a name: a class, a function, or what a call makes. Indented, it may be below an if or a try, or
no name of the module at all, which is seen when that is imported."""

NOT_SEARCHED = frozenset({
    "test", "tests", "testing", "conftest", "setup", "__main__", "docs", "examples", "benchmarks", "scripts",
})  # fmt: skip
"""Parts of the path of a module that is no library code."""

OWN = "normcheck"


@dataclass(frozen=True, slots=True)
class Module:
    """A module of a library, by its dotted name, with the names of normalizers that it defines."""

    name: str
    path: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class Library:
    """A package or module, such as timm or torch.nn, and the version of what installed it."""

    name: str
    version: str
    place: Path  # a folder, or one file

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """Its modules that define names of normalizers, and the library itself, which may have them from elsewhere."""
        if self.place.is_file():
            return (Module(self.name, self.place, _names(self.place)),)
        own = Module(self.name, self.place / "__init__.py", _names(self.place / "__init__.py"))
        below = (Module(name, path, _names(path)) for name, path in self.files() if name != self.name)
        return own, *(one for one in below if one.names)

    def files(self) -> Iterator[tuple[str, Path]]:
        """The dotted names of its modules, and their files."""
        if self.place.is_file():
            yield self.name, self.place
            return
        for path in sorted(self.place.rglob("*.py")):
            parts = path.relative_to(self.place).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if all(part.isidentifier() and part not in NOT_SEARCHED for part in parts):
                yield ".".join((self.name, *parts)), path


def is_named(name: str) -> bool:
    """Whether a public name is that of a normalizer.

    >>> [is_named(name) for name in ("RMSNorm", "normalize", "Normal", "_group_norm", "scale_norm", "enormous")]
    [True, True, False, False, True, False]
    """
    return not name.startswith("_") and WORDS.search(name) is not None


def _names(path: Path) -> tuple[str, ...]:
    """The names of normalizers that a file defines."""
    with suppress(OSError, ValueError):
        text = path.read_text(encoding="utf-8")
        names = (one.group(one.lastindex or 0) for one in DEFINED.finditer(text)) if WORDS.search(text) else ()
        return tuple(dict.fromkeys(filter(is_named, names)))
    return ()


def library(name: str) -> Library:
    """The library of that name. Raises `UsageError` if it is not installed, or is no code of Python."""
    top, *parts = name.split(".")
    spec = PathFinder.find_spec(top) if all(part.isidentifier() for part in (top, *parts)) else None
    if spec is None:
        raise UsageError(f"there is no library {shortened(name)!r}; {suggest(name, metadata.packages_distributions())}")
    folders = [Path(one) for one in spec.submodule_search_locations or ()]
    places = [folder.joinpath(*parts) for folder in folders] if folders or parts else [Path(spec.origin or "")]
    for place in places:
        for one in (place, place.with_suffix(".py")):
            if one.is_dir() or (one.is_file() and one.suffix == ".py"):
                return Library(name, _version(top), one)
    raise UsageError(f"the library {shortened(name)!r} has no Python code to search")


def _version(package: str) -> str:
    for distribution in metadata.packages_distributions().get(package, ()):
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return ""


def installed() -> Iterator[Library]:
    """Every installed library of which a module that defines a normalizer imports a framework.

    numpy does not count: most libraries that import it have no normalizer of a network.
    """
    packages = {package for name, one in REGISTERED.items() if name != NUMPY for package in one.packages}
    imports = re.compile(rf"^\s*(?:import|from)\s+(?:{'|'.join(sorted(packages))})\b", re.MULTILINE)
    for name in sorted(metadata.packages_distributions()):
        if name == OWN or name in NOT_SEARCHED or not name.isidentifier():
            continue
        with suppress(UsageError):
            found = library(name)
            if any(imports.search(module.path.read_text("utf-8")) for module in found.modules if module.names):
                yield found
