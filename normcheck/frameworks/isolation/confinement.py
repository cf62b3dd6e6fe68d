"""What the operating system is asked for, so that an untrusted process and all that it starts can be ended at any time.

Each function does what the system offers, and returns whether that was done: on another system than Linux, or on a
kernel that is too old, isolation still has its own session, its limits and the supervisor.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PDEATHSIG, _NO_NEW_PRIVILEGES, _SUBREAPER = 1, 38, 36
"""Options of prctl(2): PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER."""

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""Numbers of the system calls of Landlock, the same on every architecture."""

_VERSION, _SIGNALS, _FIRST_WITH_SIGNALS = 1, 2, 6
"""LANDLOCK_CREATE_RULESET_VERSION, LANDLOCK_SCOPE_SIGNAL, and the first version that knows it (Linux 6.12)."""


def _control(option: int, value: int) -> bool:
    """Call prctl(2)."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0)


def adopt_orphans() -> bool:
    """Make this process the parent of every descendant whose parent ends, so that none escapes by a double fork."""
    return _control(_SUBREAPER, 1)


def end_with(parent: int) -> bool:
    """Let the kernel end this process when its parent ends, whatever it is doing. parent: the id of the parent."""
    done = _control(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)
    return done


def refuse_signals() -> bool:
    """Take from this process and all that it starts the permission to signal or trace processes outside of it."""
    if sys.platform != "linux" or not _control(_NO_NEW_PRIVILEGES, 1):
        return False
    call = ctypes.CDLL(None).syscall
    if call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION)) < _FIRST_WITH_SIGNALS:
        return False
    rules = (ctypes.c_uint64 * 3)(0, 0, _SIGNALS)  # handled_access_fs, handled_access_net, scoped
    ruleset = call(_CREATE_RULESET, rules, ctypes.c_size_t(ctypes.sizeof(rules)), ctypes.c_uint(0))
    if ruleset < 0:
        return False
    done: bool = call(_RESTRICT_SELF, ruleset, ctypes.c_uint(0)) == 0
    os.close(ruleset)
    return done


def children() -> list[int]:
    """The ids of the child processes of this thread, ended ones included; empty where the system does not list them."""
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]
