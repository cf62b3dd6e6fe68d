"""Which test of the suite asks which question, and which of them are asked in this session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from normcheck.engine.asker import CALL
from normcheck.engine.conventions import CONVENTIONS
from normcheck.engine.coverage import Question
from normcheck.pytest_plugin.stash_keys import FIRST_LINES, SINK, SUITE

ANSWERED = pytest.StashKey[set[Question]]()
"""On the config: the questions that an earlier run has answered."""
LEFT_OUT = pytest.StashKey[list[pytest.Item]]()
"""On the config: the items whose questions an earlier run has answered."""
WORKER_KEY = "normcheck_answered"


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
    """Leave out what an earlier run has answered."""
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
