"""Raises what is no ordinary exception, or with a text that does something where it is shown."""

import asyncio
import unittest

import pytest


class Mute(Exception):
    def __str__(self):
        raise SystemExit("no text")


class NoText(Exception):
    def __str__(self):
        return 5


class Meta(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=Meta):
    pass


def raising(error):
    def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        raise error

    return f


workflow_command = raising(ValueError("::stop-commands::x"))
old_command = raising(ValueError("##[error]x ##vso[task.complete]"))
second_line = raising(ValueError("a\n::error::b"))
colors = raising(ValueError("\x1b[31mred\x1b[0m \x1b]0;title\x07 \x08\x9b2J"))
surrogate = raising(ValueError("\udcff lone"))
reversed_text = raising(ValueError("\u202egnorw"))
markup = raising(ValueError("</script><img src=x onerror=alert(1)>"))
long = raising(ValueError("x" * 10_000_000))
mute = raising(Mute())
no_text = raising(NoText())
nameless = raising(Nameless("x"))
interrupt = raising(KeyboardInterrupt())
generator_exit = raising(GeneratorExit())
cancelled = raising(asyncio.CancelledError())
skip = raising(pytest.skip.Exception("nothing to see"))
leaves = raising(pytest.exit.Exception("all is well", 0))
skip_test = raising(unittest.SkipTest("nothing to see"))
