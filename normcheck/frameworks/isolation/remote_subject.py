"""A bound implementation of any family whose calls run in a child process, made from the annotations of its subject.

A subject is a dataclass: its fields `name`, `entry`, `contract` and `domain` are plain, and each other field is a
function, annotated with what it takes and returns. A function that returns a protocol makes an object that stays in the
child; its methods are called there too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from normcheck.core.claim import Implementation
from normcheck.core.contract import contract
from normcheck.core.limits import Limits
from normcheck.core.spec import Entry
from normcheck.core.subject import BoundSubject
from normcheck.frameworks.isolation import replies
from normcheck.frameworks.isolation.remote_process import RemoteProcess
from normcheck.frameworks.isolation.typed import dataclass_form, form_of, is_object

PLAIN = ("name", "entry", "contract", "domain")
"""The fields of a subject that are no functions."""


class RemoteSubject(RemoteProcess):
    """An implementation of a family in a child process.

    kind: the type of the family's subjects. bind: the function of a module that binds a claim; it is run in the child.
    """

    def __init__(
        self, claim: Implementation, entry: Entry, kind: type, bind: Callable[[Implementation], Any], limits: Limits
    ) -> None:
        self._entry, self._kind, self._hints = entry, kind, get_type_hints(kind)
        first = [("import", claim.target), ("bind", bind, claim)]
        super().__init__(claim, limits, first, dataclass_form(self._hints["domain"]))

    def subject(self) -> BoundSubject:
        """Bind the implementation, then end the process: the checks begin with a new one.

        Raises `UsageError` and `CallError` as binding does, and `LostError`. The contract is the one that was claimed.
        """
        try:
            domain = self.load()
            self.end()
        except Exception:
            self.close()
            raise
        functions = {name: self._function(name, hint) for name, hint in self._hints.items() if name not in PLAIN}
        made: BoundSubject = self._kind(
            name=self._claim.name,
            entry=self._entry,
            contract=contract(self._claim.contract),
            domain=domain,
            **functions,
        )
        return made

    def _function(self, name: str, hint: Any) -> Callable[..., Any]:
        """The function of a field, which is called in the child."""
        returned = get_args(hint)[1]
        return lambda *arguments: self.call("subject call", (name,), returned, arguments)

    def call(self, request: str, place: tuple[Any, ...], returned: Any, arguments: tuple[Any, ...]) -> Any:
        """The result of a call in the child. returned: its annotation."""
        if is_object(returned):
            read = replies.integer(1, 1 << 30)
            number = self.request(request, *place, True, *arguments, read=read, label=place[-1])
            return RemoteObject(self, number, returned)
        return self.request(request, *place, False, *arguments, read=form_of(returned), label=place[-1])


class RemoteObject:
    """An object in the child process, by its number, with the methods of a protocol."""

    def __init__(self, remote: RemoteSubject, number: int, protocol: Any) -> None:
        self._remote, self._number, self._protocol = remote, number, protocol

    def __getattr__(self, name: str) -> Any:
        method = vars(self._protocol).get(name)
        if method is None or name.startswith("_"):
            raise AttributeError(name)
        returned = get_type_hints(method)["return"]
        place = (self._number, name)
        return lambda *arguments: self._remote.call("object method", place, returned, arguments)
