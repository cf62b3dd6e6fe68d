"""The parent's side of isolation: a subject whose calls run in a child process.

References, bounds and verdicts stay in the parent process. The child sends numbers and text, which are validated for
type and shape and then checked like any result. What the child reports about itself (formats, side effects, called
operators) is not verified.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.limits import Limits
from normcheck.frameworks import binder, registry
from normcheck.frameworks.isolation import replies
from normcheck.frameworks.isolation.remote_process import BINDING, RemoteProcess
from normcheck.frameworks.probe import Attempt, Offer
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Answer, Call, Life, State, Subject, Transformed

FACTORIES = ("module", "transforms", "class", "layer")
"""What a target has beside its ways to be called, as an offer of the child says it."""


class Remote(RemoteProcess):
    """An implementation of a normalizer in a child process."""

    def __init__(self, claim: Implementation, normalizer: Normalizer, limits: Limits) -> None:
        self._normalizer = normalizer
        super().__init__(claim, limits, [("load", normalizer, claim.target, dict(claim.contract))], replies.OFFERS)

    def subject(self) -> Subject:
        """Bind the implementation, then end the process: the checks begin with a new one.

        Raises `UsageError` and `CallError` as `binder.subject` does, and `LostError`.
        """
        try:
            offers = self.load()
            self._deadline = time.monotonic() + BINDING * self._limits.seconds
            calls = [self._call(index) for index in range(len(offers))]
            attempts = [
                Attempt(call, self._offer(index, offer), call)
                for index, (call, offer) in enumerate(zip(calls, offers, strict=True))
            ]
            module, transforms = offers[0]["module"], offers[0]["transforms"]
            loaded = binder.LoadedTarget(
                attempts,
                (lambda case: _RemoteTransformed(self, case)) if transforms else None,
                (lambda: self.request("operations", read=replies.REASONS)) if module else None,
                (lambda case: _RemoteLife(self, case)) if module else None,
                (lambda case: self.request("constructed", case, read=replies.constructed))
                if offers[0]["class"]
                else None,
                (lambda case: self.request("unexplained", case, read=replies.REASONS)) if offers[0]["layer"] else None,
                _composition(offers[0]["language"]),
            )
            found = binder.subject_of(loaded, self._claim, self._normalizer)
            self._deadline = math.inf
            self.end()
        except Exception:
            self.close()
            raise
        return found

    def _call(self, index: int) -> Call:
        return lambda case, gradient: self.request("call", index, case, gradient, read=replies.answer(case))

    def _offer(self, index: int, record: Mapping[str, Any]) -> Offer:
        """What the implementation supports, as the child reports it; if it reports less, it is checked less."""
        sizes, language, spelled = record["sizes"], record["language"], record["spell"]
        plain = {key: value for key, value in record.items() if key not in (*FACTORIES, "sizes", "language", "spell")}
        return Offer(
            **plain,
            sizes=None if sizes is None else Sizes(**sizes),
            language=None if language is None else registry.get(language["framework"]).language,
            spell=(lambda case: self.request("source code", index, case, read=replies.TEXTS)) if spelled else None,
        )


def _composition(sent: Any) -> Callable[[Normalizer, Contract], Call | None] | None:
    """The compositions of the framework that an offer names; they run in this process."""
    return None if sent is None else registry.get(sent["framework"]).composition


class _RemoteLayer:
    """A layer that keeps its state in the child process, identified by its number."""

    def __init__(self, remote: Remote, kind: str, case: Case) -> None:
        self._remote = remote
        self._number = remote.request("new layer", kind, case, read=replies.integer(1, 1 << 30))

    def _run(self, method: str, *arguments: Any, read: replies.Form = lambda sent: None) -> Any:
        return self._remote.request("layer method", self._number, method, *arguments, read=read)


class _RemoteLife(_RemoteLayer, Life):
    """A layer over several calls (`Life`), in the child process."""

    def __init__(self, remote: Remote, case: Case) -> None:
        super().__init__(remote, "live", case)

    def call(self, case: Case, gradient: bool) -> Answer:
        found: Answer = self._run("call", case, gradient, read=replies.answer(case))
        return found

    def do(self, operation: str) -> None:
        self._run("do", operation)

    def state(self) -> State:
        found: State = self._run("state", read=replies.state)
        return found


class _RemoteTransformed(_RemoteLayer, Transformed):
    """A module whose weight is computed from a direction and a length (`Transformed`), in the child process."""

    def __init__(self, remote: Remote, case: Case) -> None:
        super().__init__(remote, "transformed", case)

    def options(self) -> tuple[str, ...]:
        return tuple(self._run("options", read=replies.TEXTS))

    def returned(self) -> Mapping[str, str]:
        return dict(self._run("returned", read=replies.REASONS))

    def weight(self) -> Array:
        found: Array = self._run("weight", read=replies.array())
        return found

    def evaluated(self) -> Array:
        found: Array = self._run("evaluated", read=replies.array())
        return found

    def formats(self) -> Mapping[str, str]:
        return dict(self._run("formats", read=replies.REASONS))

    def trained(self) -> Mapping[str, Array]:
        found: Mapping[str, Array] = self._run("trained", read=replies.mapping(replies.array()))
        return found

    def step(self, case: Case) -> None:
        self._run("step", case)

    def load(self, other: Case) -> None:
        self._run("load", other)

    def copy(self) -> None:
        self._run("copy")

    def remove(self) -> str:
        return str(self._run("remove", read=replies.text))
