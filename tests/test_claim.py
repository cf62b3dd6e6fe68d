"""Claims: from KIND=TARGET, and how a target is named in reports."""

from __future__ import annotations

import functools

import pytest
import torch

from normcheck.core.claim import Implementation, parse
from normcheck.core.errors import UsageError

FORM = "is not KIND=TARGET, as in layer_norm=mypkg.kernels:fast_layer_norm"
NEITHER = "is neither package.module:attribute nor path/to/file.py:attribute"


class Outer:
    """A place for nested names."""

    class Inner:
        """A class inside a class."""

    def method(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(("text", "kind", "target"), [
    ("layer_norm=torch.nn.functional:layer_norm", "layer_norm", "torch.nn.functional:layer_norm"),
    ("rms_norm=./mine.py:f", "rms_norm", "./mine.py:f"),
    (" batch_norm = /a/b c/mine.py:My.Norm ", "batch_norm", "/a/b c/mine.py:My.Norm"),
    ("layer_norm=a=b.py:f", "layer_norm", "a=b.py:f"),
    ("layer_norm=C:/code/mine.py:f", "layer_norm", "C:/code/mine.py:f"),
    ("no_such_kind=m:f", "no_such_kind", "m:f"),
    ("layer_norm[]=m:f", "layer_norm", "m:f"),
    ("layer_norm=m:C(shape=[3])", "layer_norm", "m:C(shape=[3])"),
])  # fmt: skip
def test_kind_and_target(text: str, kind: str, target: str) -> None:
    """The kind ends at the first equals sign, and the target keeps the rest without blanks around it."""
    assert parse(text) == Implementation(kind, target)


def test_conventions_of_its_own() -> None:
    made = parse("rms_norm[weight=1+w formats=float32,bfloat16] = m:C(eps=1e-6)")

    assert made == Implementation("rms_norm", "m:C(eps=1e-6)", {"weight": "1+w", "formats": "float32,bfloat16"})


def test_a_convention_without_a_value() -> None:
    with pytest.raises(
        UsageError, match=r"'weight' in .* is not KEY=VALUE, as in rms_norm\[weight=1\+w eps=1e-6\]=m:f"
    ):
        parse("rms_norm[weight]=m:f")


@pytest.mark.parametrize(("text", "expected"), [
    ("layer_norm", f"'layer_norm' {FORM}"),
    ("", f"'' {FORM}"),
    ("=m:f", f"'=m:f' {FORM}"),
    ("torch.nn.functional:layer_norm", f"'torch.nn.functional:layer_norm' {FORM}"),
    ("layer_norm=", f"target '' {NEITHER}"),
    ("layer_norm=mine.py", f"target 'mine.py' {NEITHER}"),
    ("layer_norm=:f", f"target ':f' {NEITHER}"),
    ("layer_norm=mine.py:", f"target 'mine.py:' {NEITHER}"),
])  # fmt: skip
def test_other_forms_are_refused(text: str, expected: str) -> None:
    """What is not KIND=TARGET is answered in one sentence that shows the form."""
    with pytest.raises(UsageError) as raised:
        parse(text)

    assert str(raised.value) == expected


@pytest.mark.parametrize(("target", "name"), [
    ("mine.py:f", "mine.py:f"),
    (torch.nn.functional.layer_norm, "torch.nn.functional:layer_norm"),
    (torch.nn.LayerNorm, "torch.nn.modules.normalization:LayerNorm"),
    (torch.nn.LayerNorm(4), "torch.nn.modules.normalization:LayerNorm"),
    (Outer.Inner, f"{__name__}:Outer.Inner"),
    (Outer().method, f"{__name__}:Outer.method"),
    (functools.partial(print), "functools:partial"),
    ((test_kind_and_target, test_other_forms_are_refused),
     f"({__name__}:test_kind_and_target, {__name__}:test_other_forms_are_refused)"),
])  # fmt: skip
def test_name(target: object, name: str) -> None:
    """A target is named by its text, else by where it is defined; an instance by its class."""
    assert Implementation("layer_norm", target).name == name


def test_a_claim_keeps_its_contract() -> None:
    """The contract of a claim is the words that were given, none by default."""
    assert Implementation("layer_norm", "m:f").contract == {}
    assert Implementation("layer_norm", "m:f", {"eps": "1e-6"}).contract == {"eps": "1e-6"}
