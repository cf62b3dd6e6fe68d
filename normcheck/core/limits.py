"""What an implementation in a process of its own may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one request.

    seconds: wall-clock time, ten times as much if the request compiles the implementation. gigabytes: address space.
    """

    seconds: float = 30.0
    gigabytes: float = 4.0  # in addition to what the process uses once the frameworks are imported
