"""Starts processes, or sends signals to those that exist."""

import os
import signal
import subprocess
import time

from sound import f as right


def doing(act, often=False):
    def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        if often or not hasattr(act, "done"):
            act.done = True
            act()
        return right(x, normalized_shape, weight, bias, eps)

    return f


def leave(count):
    """Children of a child that ends: nobody is their parent then."""
    child = os.fork()
    if child == 0:
        os.setsid()
        for _ in range(count):
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(3600)
        os._exit(0)
    os.waitpid(child, 0)


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


orphan = doing(lambda: leave(1))
many_orphans = doing(lambda: leave(20))
a_program = doing(lambda: subprocess.Popen(["sleep", "3600"], start_new_session=True))
kills_the_fork_server = doing(lambda: os.kill(parent_of(os.getppid()), signal.SIGKILL), often=True)
kills_the_judge = doing(lambda: os.kill(parent_of(parent_of(os.getppid())), signal.SIGKILL), often=True)
kills_its_group = doing(lambda: os.killpg(0, signal.SIGKILL))
interrupts_itself = doing(  # a shell starts what runs in the background with this signal ignored
    lambda: (signal.signal(signal.SIGINT, signal.default_int_handler), os.kill(os.getpid(), signal.SIGINT)), often=True
)
stops_itself = doing(lambda: os.kill(os.getpid(), signal.SIGSTOP))
alarm = doing(lambda: (signal.alarm(1), time.sleep(3)))
