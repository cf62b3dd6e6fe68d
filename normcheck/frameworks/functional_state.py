"""A function over several calls: each call gets the running statistics that the previous call returned."""

from __future__ import annotations

from collections.abc import Callable

from normcheck.normalizers import programs
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Call, Life, State


class FunctionLife:
    """Keeps the running statistics and the momentum between calls of a function, as a layer would (`Life`)."""

    def __init__(self, call: Call, case: Case) -> None:
        assert case.running_mean is not None, "the case has no running mean"
        assert case.running_var is not None, "the case has no running variance"
        self._call, self._momentum = call, case.momentum
        self._state = State(case.running_mean, case.running_var)

    def call(self, case: Case, gradient: bool) -> Answer:
        state = self._state
        current = case.but(running_mean=state.mean, running_var=state.var, momentum=self._momentum)
        answer = self._call(current, gradient)
        if answer.running_mean is not None and answer.running_var is not None:
            self._state = State(answer.running_mean, answer.running_var)
        return answer

    def do(self, operation: str) -> None:
        value = programs.MOMENTA[operation]
        assert value is not None, "a cumulative average needs a count of batches, which a function does not keep"
        self._momentum = value

    def state(self) -> State:
        return self._state


def factory(call: Call) -> Callable[[Case], Life]:
    """Starts a sequence of calls of a function with the running statistics of a case."""
    return lambda case: FunctionLife(call, case)
