"""A function over several calls: each call gets the running statistics that the previous call returned."""

from __future__ import annotations

from collections.abc import Callable

from normcheck.normalizers import programs
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Call, Life, State


class Handed:
    """Keeps the running statistics and the momentum between calls of a function, as a layer would (`Life`)."""

    def __init__(self, call: Call, case: Case) -> None:
        assert case.running_mean is not None, "a life begins with running statistics"
        assert case.running_var is not None, "a life begins with running statistics"
        self._call, self._momentum = call, case.momentum
        self._state = State(case.running_mean, case.running_var)

    def call(self, case: Case, gradient: bool) -> Answer:
        held = self._state
        here = case.but(running_mean=held.mean, running_var=held.var, momentum=self._momentum)
        answer = self._call(here, gradient)
        if answer.running_mean is not None and answer.running_var is not None:
            self._state = State(answer.running_mean, answer.running_var)
        return answer

    def do(self, operation: str) -> None:
        value = programs.MOMENTA[operation]
        assert value is not None, "a cumulative average needs a count, which a function has not"
        self._momentum = value

    def state(self) -> State:
        return self._state


def of(call: Call) -> Callable[[Case], Life]:
    """Starts a sequence of calls of a function with the running statistics of a case."""
    return lambda case: Handed(call, case)
