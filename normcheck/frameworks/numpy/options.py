"""A parameter that takes a dict of settings and state, as courses write it: `forward(x, gamma, beta, bn_param)`.

The dict holds what other implementations take as arguments of their own. Which keys the code reads follows from the
strings in it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from normcheck.core.foreign_code import attribute
from normcheck.frameworks.roles import Parameter, names_of, plain
from normcheck.normalizers.normalizer import Normalizer

ENDINGS = ("param", "params", "config", "cfg", "conf", "options", "opts", "settings")
"""How the name of a parameter ends that takes a dict."""

MODE = "mode"
"""The key whose value is a word, one for training and another for evaluation."""

TRAINING, EVALUATION = ("train", "training"), ("test", "eval", "evaluation", "inference", "infer", "valid", "val")
"""The words of the modes, the most common first."""

MODES = ("training", "use_input_stats")
"""The roles whose value may be given as a word."""

DEPTH = 2
"""Functions that a function calls are read, and those that they call."""


@dataclass(frozen=True, slots=True)
class Options:
    """The parameter of a function that takes a dict: its name, the key of each role, and the words of the modes."""

    name: str
    keys: Mapping[str, str]
    words: tuple[str, str] = (TRAINING[0], EVALUATION[0])

    def packed(self, kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The keyword arguments of the function, from those by role, and the dict that is among them."""
        held = {self.keys[role]: self._value(role, value) for role, value in kwargs.items() if role in self.keys}
        rest = {name: value for name, value in kwargs.items() if name not in self.keys}
        return rest | {self.name: held}, held

    def _value(self, role: str, value: Any) -> Any:
        return self.words[0 if value else 1] if self.keys[role] == MODE else value

    def parameters(self, others: Iterable[Parameter]) -> list[Parameter]:
        """The parameters of the function, with one for each role in place of the dict."""
        out = [one for one in others if one.name != self.name]
        return out + [Parameter(role, required=False, keyword=True) for role in self.keys]


def options_of(function: Callable[..., Any], parameters: Iterable[Parameter], normalizer: Normalizer) -> Options | None:
    """The dict that a function takes; None if it takes none. Roles of other parameters are not in it."""
    parameters = list(parameters)
    named = [one for one in parameters if one.keyword and plain(one.name).rpartition("_")[2] in ENDINGS]
    if not named:
        return None
    others = {plain(one.name) for one in parameters if one is not named[0]}
    read = list(dict.fromkeys(_strings(function, DEPTH)))
    keys = {}
    for role in normalizer.arguments:
        known = names_of(normalizer, role)
        if others & set(known):
            continue
        found = sorted((key for key in read if key in known), key=known.index)
        if role in MODES and MODE in read:
            found = [MODE]
        if found:
            keys[role] = found[0]
    words = (next((word for word in some if word in read), some[0]) for some in (TRAINING, EVALUATION))
    return Options(named[0].name, keys, (next(words), next(words)))


def _strings(function: Any, depth: int) -> Iterator[str]:
    """The strings in the code of a Python function, and in that of the functions that it names."""
    function = inspect.unwrap(function) if callable(function) else function
    function = attribute(function, "__func__", function)
    code = attribute(function, "__code__")
    if not isinstance(code, CodeType):
        return
    yield from _constants(code.co_consts)
    for name in _names(code) if depth else ():
        called = function.__globals__.get(name)
        if inspect.isfunction(called):
            yield from _strings(called, depth - 1)


def _constants(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, CodeType):
            yield from _constants(value.co_consts)
        elif isinstance(value, (tuple, frozenset)):
            yield from _constants(value)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _names(value)
