"""How a process ended, in words."""

from __future__ import annotations

import contextlib
import re
import signal
from pathlib import Path

from normcheck.frameworks.isolation.process import DISCONNECTED

CAUSES = {
    "SIGXFSZ": ", sent to code that writes without end",
    "SIGKILL": ", sent when the system runs out of memory",
}
"""The usual cause of signals whose name does not tell it."""


def ending(status: int, output: str) -> str:
    """An exit status, negative for a signal, as one clause. output: the file of what the process wrote."""
    if status == DISCONNECTED:
        return "it closes the file descriptors of its process, which can no longer respond"
    if status >= 0:
        return f"it ends its process with status {status}"
    number = -status
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    cause = CAUSES.get(name, "")
    return f"its process was ended by {name} ({signal.strsignal(number)}{cause}){_crash_place(output)}"


def _crash_place(output: str) -> str:
    """The line in which the process crashed, from the traceback that faulthandler wrote; empty if there is none."""
    with contextlib.suppress(OSError):
        text = Path(output).read_bytes()[-20_000:].decode(errors="replace")
        found = re.search(r'most recent call first\):\n  File "([^"]+)", line (\d+) in (\w+)', text)
        return f", in {found[3]} at {Path(found[1]).name}:{found[2]}" if found else ""
    return ""
