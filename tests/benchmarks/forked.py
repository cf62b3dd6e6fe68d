"""Processor time of work in a forked copy of this process, so that no run profits from what another has left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from normcheck.engine import claims, run
from normcheck.engine.settings import Settings
from normcheck.frameworks.torch_functions import FUNCTIONS


def torch_imports() -> float:
    """Import what torch imports by itself in the first forward-mode derivative and checkpoint; seconds that takes."""
    start = time.process_time()
    import torch._decomp.decompositions_for_jvp
    import torch.utils.checkpoint  # noqa: F401

    return time.process_time() - start


def checked(kind: str, effort: str, target: Any = None) -> None:
    """A whole run of torch's function of a kind, or of another target."""
    for _ in run.events([claims.claim((kind, target or FUNCTIONS[kind]), {})], Settings(effort)):
        pass


def seconds(work: Callable[[], Any]) -> float:
    """Processor time of work in a copy of this process, with all its threads."""
    return measured(lambda: _timed(work))


def measured(figure: Callable[[], float]) -> float:
    """A number that a function returns in a copy of this process. Raises `RuntimeError` where it returns none."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, repr(figure()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError("the work in the forked process raised an exception")
    return float(text)


def _timed(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
