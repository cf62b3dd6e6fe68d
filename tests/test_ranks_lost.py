"""A rank that raises, ends, hangs or leaves out a call is named, in time, and its processes are ended."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, LostError, UsageError
from normcheck.core.limits import Limits
from normcheck.families.synchronized.case import RanksCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.space import SynchronizedDraw, ranks_case
from normcheck.families.synchronized.torch.processes import MOST_LOSSES, RankProcesses
from normcheck.frameworks.isolation import worker_group
from normcheck.frameworks.isolation.worker_group import WAITING

WRONG = Path(__file__).parent / "user_code" / "synchronized" / "wrong.py"
SECONDS = 4.0


def processes(name: str) -> tuple[RankProcesses, Synchronized]:
    """The processes of a piece of wrong code, with a short limit."""
    entry: Any = families.get("sync_batch_norm")
    claim = Implementation(entry.name, f"{WRONG}:{name}")
    return RankProcesses(claim, entry, Limits(seconds=SECONDS)), entry


def case_of(entry: Synchronized, shards: str) -> RanksCase:
    return ranks_case(entry, SynchronizedDraw(shards=shards))


def running(made: RankProcesses) -> list[int]:
    """The process ids of the ranks."""
    assert made._group is not None
    return [worker.kill.peek()[2][0].pid for worker in made._group._workers]


@pytest.mark.parametrize(
    ("name", "shards", "kind", "says"),
    [
        ("Raises", "single", CallError, r"raised ValueError: expected more than 1 value per channel .* on rank 1"),
        ("Dies", "unequal", LostError, r"rank 1: its process was ended by SIGSEGV .* in forward at wrong.py"),
        ("Hangs", "unequal", LostError, r"rank 2 does not respond, and each of ranks 0, 1 waits for it in vain"),
        ("LeavesOut", "empty", LostError, r"ranks 0, 2 waits in vain in a collective call that rank 1 does not make"),
    ],
)
def test_the_rank_with_which_it_began_is_named(name: str, shards: str, kind: type[Exception], says: str) -> None:
    """The judge is never blocked, the other ranks are ended, and a later call starts new processes."""
    made, entry = processes(name)
    made.call(case_of(entry, "equal"), False)
    before, started = running(made), time.monotonic()

    with pytest.raises(kind, match=says):
        made.call(case_of(entry, shards), True)

    assert time.monotonic() - started < SECONDS + 20.0
    assert not [pid for pid in before if Path(f"/proc/{pid}/stat").exists() and _alive(pid)]
    made.call(case_of(entry, "equal"), False)
    made.close()


def _alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (OSError, ValueError):
        return False


def test_it_is_given_up_after_a_few_losses() -> None:
    made, entry = processes("Dies")
    texts = []
    for _ in range(MOST_LOSSES + 1):
        with pytest.raises(LostError) as error:
            made.call(case_of(entry, "unequal"), False)
        texts.append(str(error.value))

    assert ["not called again" in text for text in texts] == [False, False, True, True]


def waiting(rank: int) -> tuple[str, dict[str, str]]:
    return "call", {"call": f"f {WAITING}raised", "reason": f"{WAITING}raised {rank}"}


RIGHT: tuple[str, Any] = ("result", None)
RAISED = ("call", {"call": "f raised ValueError", "reason": "raised ValueError"})


@pytest.mark.parametrize(
    ("found", "lost", "kind", "says"),
    [
        ({0: waiting(0), 2: RAISED}, {1: "its process was ended"}, LostError, "rank 1: its process was ended"),
        ({0: waiting(0), 1: waiting(1), 2: RAISED}, {}, CallError, "f raised ValueError on rank 2"),
        ({0: RAISED, 1: RAISED, 2: RAISED}, {}, CallError, "f raised ValueError"),
        ({0: waiting(0), 2: RIGHT}, {}, LostError, "rank 1 does not respond, and rank 0 waits for it in vain"),
        ({1: RIGHT}, {}, LostError, "each of ranks 0, 2 does not respond within 9 s"),
        ({0: waiting(0), 1: RIGHT, 2: RIGHT}, {}, LostError, "rank 0 waits in vain in a collective call that each of"),
        (
            {0: waiting(0), 1: waiting(1), 2: waiting(2)},
            {},
            LostError,
            "each of ranks 0, 1, 2 waits in vain in a collective call",
        ),
        ({0: ("usage", {"usage": "no such thing"}), 1: RIGHT, 2: RIGHT}, {}, UsageError, "no such thing"),
    ],
)
def test_what_is_named_first(
    found: dict[int, tuple[str, Any]], lost: dict[int, str], kind: type[Exception], says: str
) -> None:
    """A lost process, then one that raised by itself, then a silent one, then those that wait."""
    with pytest.raises(kind) as error:
        worker_group._raise_first(range(3), found, lost, 9.0)

    assert str(error.value).startswith(says)


def test_nothing_is_raised_where_all_have_a_result() -> None:
    worker_group._raise_first(range(2), {0: RIGHT, 1: RIGHT}, {}, 9.0)


def test_the_verdict_of_a_run_names_the_rank(pytester: pytest.Pytester) -> None:
    """`pytest --norm ... --norm-ranks 3` ends, with the rank in its report."""
    claim = f"sync_batch_norm={WRONG}:Dies"
    found = pytester.runpytest_subprocess("--norm", claim, "--norm-ranks", "3", "-k", "sync-output", timeout=120)

    assert found.ret == 1
    found.stdout.fnmatch_lines(["*rank 1: its process was ended by SIGSEGV*"])


def test_the_option_takes_a_few_numbers(pytester: pytest.Pytester) -> None:
    found = pytester.runpytest_subprocess("--norm", f"sync_batch_norm={WRONG}:Dies", "--norm-ranks", "9")

    assert found.ret == 4
    found.stderr.fnmatch_lines(["*argument --norm-ranks: invalid choice: 9*"])
