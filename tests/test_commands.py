"""Commands that the README and the guide show: each is one that this version takes.

Those whose output is shown are run by test_readme.py and test_guide.py. Most others name a module of the reader's, so
what can be wrong in them is compared with the code: commands, options, kinds, conventions, tests, files, pages.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from normcheck import cli, families
from normcheck.core.claim import split_kind
from normcheck.core.contract import contract
from normcheck.core.errors import UsageError
from normcheck.explain import pages, reference
from normcheck.explain.site_sources import GUIDE

ROOT = Path(__file__).parent.parent
TEXTS = {"README": ROOT / "README.md"} | {path.stem: path for path in sorted(GUIDE.glob("*.md"))}
OURS = ("tests/", "properties/", "examples/", "normcheck/")
"""What paths of the repository begin with."""


def shown(text: str) -> Iterator[str]:
    """Commands in blocks, each a line with those that continue it, and in lines of prose."""
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines += [re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", prose)]
    for line in lines:
        for part in line.removeprefix("$ ").partition("  #")[0].split(" && "):
            command = re.sub(r"^([A-Z_]+=\S+ )+|^timeout \d+ ", "", part.strip())
            if re.match(r"(pytest|normcheck|python) \S", command):
                yield command


COMMANDS = [
    (page, command) for page, path in TEXTS.items() for command in dict.fromkeys(shown(path.read_text("utf-8")))
]


@pytest.fixture(scope="module")
def options() -> set[str]:
    """Every long option that the reference of the command line has."""
    return set(re.findall(r"--[a-z][a-z-]*", reference.command_line())) | {"--benchmark-only", "--benchmark-enable"}


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}-{command}" for page, command in COMMANDS])
def test_command_is_one_of_this_version(page: str, command: str, options: set[str]) -> None:
    program, *words = shlex.split(command)
    for word in words:
        path = word.partition("::")[0].partition("=")[2].partition(":")[0] or word.partition("::")[0]
        if path.startswith(OURS):
            assert (ROOT / path).exists(), f"{path} is no file of the repository"
        if word.startswith("--norm"):
            assert word.partition("=")[0] in options, f"{word} is no option"
        kind, target = split_kind(word)
        if kind.isidentifier() and target and kind not in {"KIND", "norm"} and not word.startswith("-"):
            assert kind.partition("[")[0] in families.ENTRIES, f"{kind} is no kind"
    for option, value in pairwise(words):
        if option == "--norm-contract" and "KEY" not in value:
            key, _, meant = value.partition("=")
            contract({key: meant})
    if program == "normcheck" and words[0].isidentifier():
        assert words[0] in cli.COMMANDS, f"normcheck has no command {words[0]}"
        if words[0] == "explain":
            for word in [word for word in words[1:] if word not in {"KIND", "WORD"}]:
                assert pages.page(word)


def test_commands_are_found() -> None:
    """Of each form there are some; the walker reads the pages."""
    assert len(COMMANDS) > 80
    assert {page for page, _ in COMMANDS} >= {"README", "tutorial", "options", "recurrent", "laws"}


@pytest.mark.parametrize(
    "command",
    [
        "pytest --norm no_such_norm=mine.py:f", "pytest --norm-no-such-option", "normcheck nosuchcommand",
        "pytest tests/no_such_test.py", "normcheck explain no-such-page", "pytest --norm-contract eps-place=nowhere",
    ],
)  # fmt: skip
def test_a_wrong_command_is_seen(command: str, options: set[str]) -> None:
    with pytest.raises((AssertionError, UsageError)):
        test_command_is_one_of_this_version("", command, options)
