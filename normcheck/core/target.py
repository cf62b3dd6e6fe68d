"""The text of a target: where it is defined, its name, and the literal arguments that are fixed."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from normcheck.core.errors import UsageError, shortened

_FORM = re.compile(r"(?P<place>.+?):(?P<attribute>[^\W\d][\w.]*)\s*(?P<call>\(.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TargetText:
    """A parsed target.

    place: "package.module" or "path/to/file.py". attribute: a name, with dots for nested ones. call: the arguments
    with their parentheses, as they were written; empty if there are none.
    """

    place: str
    attribute: str
    call: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> str:
        """The target without its arguments."""
        return f"{self.place}:{self.attribute}"


def adapted(name: str) -> str:
    """The end of a sentence that says why a target cannot be called as it is."""
    return f"`normcheck adapt {shlex.quote(name)}` prints a wrapper"


def split(text: str) -> tuple[str, str, str]:
    """Place, attribute and call of a target, each as text; a part that is missing is empty.

    The attribute follows the first colon that is followed by a name and either the end or an opening parenthesis, so
    that literals may contain colons.

    >>> split('C:/code/mine.py:Norm(order="a:b")')
    ('C:/code/mine.py', 'Norm', '(order="a:b")')
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        place, _, attribute = text.strip().rpartition(":")
        return place, attribute, ""
    return found["place"], found["attribute"], (found["call"] or "").strip()


def target_of(text: str) -> TargetText:
    """A target from its text.

    Raises `UsageError` for a text without module or attribute, and for arguments that are no literals.

    >>> target_of("mypkg.norms:GroupNorm(groups=4)").kwargs
    {'groups': 4}
    """
    place, attribute, call = split(text)
    if not place or not attribute:
        raise UsageError(
            f"target {shortened(text)!r} is neither package.module:attribute nor path/to/file.py:attribute"
        )
    if not call:
        return TargetText(place, attribute)
    try:
        node = ast.parse(f"f{call}", mode="eval").body
        compile(f"f{call}", "target", "eval")  # raises for a keyword that is given twice
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        node = None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise UsageError(
            f"target {shortened(text)!r}: {shortened(call)!r} cannot be read as arguments, as in "
            "mypkg.layers:Name(groups=4, mode='node')"
        )
    args = tuple(_literal(text, f"argument {i}", one) for i, one in enumerate(node.args, 1))
    kwargs = {one.arg or "**": _literal(text, one.arg or "**", one.value if one.arg else None) for one in node.keywords}
    return TargetText(place, attribute, call, args, kwargs)


def _literal(text: str, which: str, node: ast.expr | None) -> Any:
    """The value of a literal; None stands for an expression that is none."""
    try:
        return ast.literal_eval(node)  # type: ignore[arg-type]  # raises ValueError for None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise UsageError(
            f"target {shortened(text)!r}: the value of {which} is no literal; write a number, a text in quotes, "
            "True, False, None, or a list, tuple or dict of these"
        ) from None
