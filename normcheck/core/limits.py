"""Which implementations have a process of their own, and what one may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one implementation.

    seconds: wall-clock time of one request, ten times as much if the request compiles the implementation. gigabytes:
    address space, which may be infinite. total: wall-clock time of all requests.
    """

    seconds: float = 30.0
    gigabytes: float = 4.0  # in addition to what the process uses once the frameworks are imported
    total: float = 3600.0


@dataclass(frozen=True, slots=True)
class Isolation:
    """Which implementations have a process of their own, within limits.

    every: all of them; else those alone whose code can end the process in which it runs, as that of C.
    """

    limits: Limits = Limits()  # a frozen value
    every: bool = True
