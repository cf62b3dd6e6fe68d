"""The conventions in which correct implementations differ, as one frozen value with torch's as default."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from typing import Any

from normcheck.core.errors import UsageError, shortened, suggest
from normcheck.core.floats import FLOAT32, FORMATS

GRADIENTS = {
    "full": (1, 1),
    "mean-constant": (0, 1),
    "variance-constant": (1, 0),
    "statistics-constant": (0, 0),
}
"""Gradient mode to the statistics that the gradient passes through: (mean, variance), 1 for yes and 0 for no.

Source: Ioffe and Szegedy 2015, section 2.
"""

CHOICES: dict[str, tuple[str, ...]] = {
    "variance": ("biased", "unbiased"),
    "running-variance": ("unbiased", "biased"),
    "momentum": ("new", "old"),
    "eps-place": ("inside", "outside", "floor", "root-floor"),
    "eps-format": ("default", "own", FLOAT32.name),
    "weight": ("w", "1+w"),
    "cast": ("any", "before-weight", "after-weight"),
    "exact-to": ("bound", "composition"),
    "batch-invariant": ("any", "rows", "yes"),
    "gradient": tuple(GRADIENTS),
    "accuracy": ("default", "torch", "sound", "half", "one-pass"),
    "second-derivative": ("default", "right", "any"),
    "empty": ("default", "accepted", "refused"),
    "single-value": ("default", "right", "any"),
    "sizes": ("every", "some"),
    "shapes": ("every", "some"),
    "wrong-sizes": ("default", "refused", "any"),
    "initial": ("documented", "any"),
    "axis": ("last", "1"),
    "form": (
        "plain", "add", "gate", "gate-first", "mask", "lengths", "modulated", "channels-last", "relu", "gelu",
        "gelu-tanh", "silu", "int8", "e4m3", "e5m2", "groups", "qk", "branch-bias", "dropout", "packed",
        "rotary", "rotary-interleaved",
    ),
}  # fmt: skip
"""Key of each convention to its values; the first is the default."""

TRANSLATIONS = ("compiled", "exported", "onnx")
"""Programs that a tool makes of the code, which a contract can demand."""

EXAMPLE_SHAPES = "32x768,4x16x1024"
"""Of what the key for input shapes takes."""

VALUES = {**CHOICES, "ranks": ("3", "2", "4"), "tensors": ("local", "dtensor")}
"""The same with the keys that are no convention of a single process."""

ROUNDED_AGAIN = {"gelu": 4.0, "gelu-tanh": 4.0, "silu": 4.0}
"""Forms whose plain normalizer is the difference of two outputs, to the factor by which each bound grows.

The least bound allows one rounding of a result. Each of the two outputs is rounded after the activation, and its
argument before; the activation itself, y h(y), takes as many.
"""

ACCURACY_CLASSES = ("sound", "half", "one-pass")
"""The accuracy classes, the most accurate first."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The conventions that an implementation claims to follow; the defaults are those of torch's function."""

    variance: str = "biased"  # divisor of the variance used to normalize: n (biased) or n - 1
    running_variance: str = "unbiased"  # divisor of the stored running variance: n - 1 or n
    momentum: str = "new"  # momentum is the weight of the new batch (torch) or of the old value (Keras)
    eps_place: str = "inside"  # sqrt(v + eps); sqrt(v) + eps; max(|x|, eps), |x| the length of a set; max(sqrt(v), eps)
    eps_format: str = "default"  # own: held in float32, eps is a finding in float64, not a warning; float32: it is that
    weight: str = "w"  # the output is multiplied by w or by 1 + w (Gemma)
    cast: str = "any"  # in a narrow format: xh is rounded to it, then multiplied by the weight; or w xh is rounded
    exact_to: str = "bound"  # y is within its bound, or bit for bit the composition of the framework's basic operators
    batch_invariant: str = "any"  # rows: a case has the same bits in any batch; yes: in any run and on any threads too
    gradient: str = "full"
    accuracy: str = "default"  # the required class, also as CLASS:FORMAT,FORMAT (see `accuracy_in`)
    second_derivative: str = "default"  # right: a wrong one is a finding, not a warning; any: it is not checked
    empty: str = "default"  # accepted: to refuse inputs without sets, or NaN of padding alone, fails; refused: fine
    single_value: str = "default"  # right: NaN from one value for each channel is no warning but a finding
    sizes: str = "every"  # every: to raise on an input of some size is a warning; some: it is left out
    shapes: str = "every"  # right on each rank and number of normalized axes that it takes; some: where it is its kind
    wrong_sizes: str = "default"  # refused: to accept sizes that do not fit is a finding, not a warning; any: neither
    initial: str = "documented"  # a new layer's weight is 1 and trained, its bias 0, its variance 1; any: not checked
    axis: str = "last"  # of a normalizer over the last axis: that one, or axis 1 if found; or axis 1 in any case
    form: str = (
        "plain"  # what is around the normalizer, as names joined by "+": the sum with a residual, a gate, a mask
    )
    eps: float | None = None  # the eps of an implementation without an argument for it
    ranks: str = "3"  # number of processes that run an implementation which divides its input among processes
    translated: tuple[str, ...] = ()  # the programs made of it that must be right too: compiled, exported, onnx
    tensors: str = "local"  # each of these processes is given its shard; dtensor: its part of a torch DTensor
    input_shapes: tuple[tuple[int, ...], ...] = ()  # of a project's own, asked beside those of the suite
    formats: tuple[str, ...] | None = None  # those that it claims to compute in; None: all, and a lack is a warning
    slack: float = 1.0  # every bound is multiplied by it

    def accuracy_in(self, format: str) -> str:
        """The required accuracy class in a format: "default" and "torch" are that of torch's function of the kind.

        Where the default is not reached, the class "half" is a warning; where "torch" is not, it is a finding.

        >>> Contract(accuracy="half:bfloat16").accuracy_in("float16")
        'default'
        """
        name, _, only = self.accuracy.partition(":")
        return name if not only or format in only.split(",") else "default"

    @property
    def bound_multiplier(self) -> float:
        """The factor of every bound: the declared one, times that of a form whose output is rounded several times."""
        return self.slack * max(ROUNDED_AGAIN.get(one, 1.0) for one in self.form.split("+"))

    @property
    def served(self) -> tuple[str, ...]:
        """The formats that are checked, as far as the implementation accepts them."""
        return tuple(FORMATS) if self.formats is None else self.formats

    @property
    def through(self) -> tuple[int, int]:
        """(A, B): 1 if the claimed gradient passes through the mean, and through the variance; else 0."""
        return GRADIENTS[self.gradient]


def _key(of: Field[Any]) -> str:
    """The key by which users name a field: its name with hyphens."""
    return of.name.replace("_", "-")


def _value(key: str, text: str) -> object:
    if key in ("eps", "slack"):
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not (number > 0 or (number == 0 and key == "eps")) or number == float("inf"):
            what = "a positive number" if key == "slack" else "a number that is not negative"
            raise UsageError(f"contract {key}={text}: {key} takes {what}")
        return number
    if key in SEVERAL:
        return SEVERAL[key](key, text)
    if key == "accuracy" and ":" in text:
        name, _, some = text.partition(":")
        if name in CHOICES[key]:
            return f"{name}:{','.join(_names(key, text, some, 'format', FORMATS))}"
    if key == "form" and "+" in text:
        return _joined(key, text)
    if text not in VALUES[key]:
        raise UsageError(f"contract {key}={text}: {suggest(text, VALUES[key])}")
    return text


MOST_AXES = 8
"""Axes of an input shape; no kind has as many."""


def input_shapes(text: str) -> tuple[tuple[int, ...], ...]:
    """Input shapes from words, each once. Raises `UsageError` for what is no shape.

    >>> input_shapes("32x768, 4x16x1024")
    ((32, 768), (4, 16, 1024))
    """
    words = [word.strip() for word in text.split(",")]
    for word in words:
        sizes = word.split("x")
        if len(sizes) > MOST_AXES or not all(re.fullmatch("[1-9][0-9]{0,8}", size) for size in sizes):
            what = "shapes are sizes above 0 joined by x, and shapes are joined by commas"
            raise UsageError(f"contract input-shapes={shortened(text)}: {what}, as in {EXAMPLE_SHAPES}")
    return tuple(dict.fromkeys(tuple(int(size) for size in word.split("x")) for word in words))


def _joined(key: str, text: str) -> str:
    names = [name.strip() for name in text.split("+")]
    for name in names:
        if name not in CHOICES[key][1:] or names.count(name) > 1:
            raise UsageError(f"contract {key}={text}: {suggest(name, CHOICES[key][1:])}, each once, joined by +")
    return "+".join(names)


def _names(key: str, text: str, some: str, what: str, known: Collection[str]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in some.split(","))
    for name in names:
        if name not in known:
            raise UsageError(f"contract {key}={text}: unknown {what} {name!r}; {suggest(name, known)}")
    return names


def contract(conventions: Mapping[str, str], base: Contract | None = None) -> Contract:
    """A contract from keys and values as text, from the command line or the ini file; base: the values to start from.

    Raises `UsageError` for an unknown key or value, with the nearest known one or all known ones.

    >>> contract({"eps-place": "outside"}).eps_place
    'outside'
    """
    known = {_key(f): f.name for f in fields(Contract)}
    changes: dict[str, object] = {}
    for key, text in conventions.items():
        plain = key.strip().replace("_", "-")
        if plain not in known:
            raise UsageError(f"unknown contract key {key!r}; {suggest(plain, known)}")
        changes[known[plain]] = _value(plain, str(text).strip())
    return replace(base or Contract(), **changes)  # type: ignore[arg-type]  # values checked one by one above


def shape_words(shape: tuple[int, ...]) -> str:
    """A shape as the contract writes it.

    >>> shape_words((4, 16, 1024))
    '4x16x1024'
    """
    return "x".join(map(str, shape))


def _word(one: str | tuple[int, ...]) -> str:
    return one if isinstance(one, str) else shape_words(one)


def values(made: Contract) -> dict[str, str]:
    """Every convention, by key as text."""
    out = {}
    for f in fields(Contract):
        value = getattr(made, f.name)
        out[_key(f)] = ",".join(map(_word, value)) if isinstance(value, tuple) else str(value)
    return out


def words(made: Contract) -> dict[str, str]:
    """The conventions that differ from the default, by key as text: the inverse of `contract`."""
    default = values(Contract())
    return {key: value for key, value in values(made).items() if value != default[key]}


SEVERAL: dict[str, Callable[[str, str], tuple[object, ...]]] = {
    "formats": lambda key, text: _names(key, text, text, "format", FORMATS),
    "translated": lambda key, text: _names(key, text, text, "program", TRANSLATIONS),
    "input-shapes": lambda key, text: input_shapes(text),
}
"""Keys whose value is several, joined by commas, to how it is read."""


def with_input_shapes(declared: Mapping[str, Any] | None, shapes: Iterable[Any] | None) -> dict[str, Any]:
    """A contract with input shapes, as Python code and TOML give them: [(32, 768), (4, 16, 1024)].

    Raises `UsageError` for what are no shapes.
    """
    out = dict(declared or {})
    if shapes is None:
        return out
    some = list(shapes) if isinstance(shapes, (list, tuple)) else []
    if not some or not all(isinstance(one, (list, tuple)) and _are_sizes(one) for one in some):
        text = shortened(repr(shapes))
        raise UsageError(f"input_shapes={text}: write a list of shapes, as in [(32, 768), (4, 16, 1024)]")
    return out | {"input-shapes": ",".join(shape_words(tuple(one)) for one in some)}


def _are_sizes(some: Sequence[Any]) -> bool:
    return bool(some) and all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in some)
