"""Which test of the suite asks which question, and which of them are asked in this session."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from normcheck.engine.asker import CALL
from normcheck.engine.conventions import CONVENTIONS
from normcheck.engine.coverage import Question
from normcheck.pytest_plugin.stash_keys import FIRST_LINES, SINK, SUITE, properties

ANSWERED = pytest.StashKey[set[Question]]()
"""On the config: the questions that an earlier run has answered."""
LEFT_OUT = pytest.StashKey[list[pytest.Item]]()
"""On the config: the items whose questions an earlier run has answered."""
PASTED = pytest.StashKey[list[str]]()
"""On the config: the ids of tests of the suite that are given on the command line."""
WORKER_KEY = "normcheck_answered"


def placed(config: pytest.Config) -> list[str]:
    """The arguments of the command line, with the folder of the suite in place of test ids of it as pytest prints them.

    Which tests are meant is noted: pytest would name those of a file that is outside of the project without the file.
    """
    ids = [one for one in config.args if _is_of_suite(config, one)]
    config.stash[PASTED] = ids
    return [*(one for one in config.args if one not in ids), *([str(properties())] if ids else [])]


def _is_of_suite(config: pytest.Config, argument: str) -> bool:
    name = argument.partition("::")[0]
    plain = Path(name).name == name and not (config.invocation_params.dir / name).exists()
    return plain and name.endswith(".py") and (properties() / name).is_file()


def _is_meant(item: pytest.Item, ids: list[str]) -> bool:
    """Whether an item is named by one of the ids, or is no test of the suite."""
    inside = "::".join([item.path.name, *item.nodeid.split("::")[1:]])
    named = any(inside == one or inside.startswith((f"{one}[", f"{one}::")) for one in ids)
    return named or item.path.parent != properties()


def question_of(item: pytest.Item) -> Question | None:
    """The question that a test of the suite asks; None for any other test."""
    callspec = getattr(item, "callspec", None)
    names = getattr(item, "fixturenames", ())
    if callspec is None or not {"norm_ask", "norm_conventions"} & set(names):
        return None
    params = callspec.params
    if "norm_question" in params:
        claim, check = params["norm_question"]
        return claim.kind, claim.name, check.name
    if "norm_measured" in params:
        return params["norm_measured"].kind, params["norm_measured"].name, CONVENTIONS
    return params["norm_claim"].kind, params["norm_claim"].name, CALL


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what no given test id means, and what an earlier run has answered."""
    ids = config.stash.get(PASTED, [])
    if ids:
        others = [item for item in items if not _is_meant(item, ids)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _is_meant(item, ids)]
    answered = config.stash.get(ANSWERED, set())
    if answered:
        config.stash[LEFT_OUT] = [item for item in items if question_of(item) in answered]
        items[:] = [item for item in items if question_of(item) not in answered]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which questions are asked: what is missing at the end is one of these."""
    suite = session.config.stash.get(SUITE, None)
    if suite is None or session.config.option.collectonly:
        return
    chosen = [*session.config.stash.get(LEFT_OUT, []), *session.items]
    asked = [(item.nodeid, question) for item in chosen if (question := question_of(item)) is not None]
    suite.selected.update(question for _, question in asked)
    line = {"selected": [[test, *question] for test, question in asked]}
    if SINK in session.config.stash:
        session.config.stash[SINK](line)
    else:
        session.config.stash[FIRST_LINES] = [line]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send the questions that are answered to a process of pytest-xdist."""
    node.workerinput[WORKER_KEY] = [list(one) for one in sorted(node.config.stash.get(ANSWERED, set()))]


def settle(config: pytest.Config, answered: Iterable[Question]) -> None:
    """Set the questions that are not asked again; a worker process gets them from the controlling one."""
    sent = getattr(config, "workerinput", {}).get(WORKER_KEY)
    found = answered if sent is None else ((kind, target, check) for kind, target, check in sent)
    config.stash[ANSWERED] = set(found)
