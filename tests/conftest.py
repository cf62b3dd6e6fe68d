"""What holds for every test of this project."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

import normcheck.api  # noqa: F401  # here, for the same reason as torch below
from normcheck import families
from normcheck.core.ask import run_check
from normcheck.core.result import ERROR, CheckWarning, Outcome
from normcheck.engine import verdict
from normcheck.families import CHECKS_BY_NAME
from normcheck.normalizers import faults
from normcheck.normalizers.sampling.recipes import Draw

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # every process that a test starts would compile this package anew
sys.dont_write_bytecode = False

with suppress(ImportError):  # tests/jax has no torch
    import torch  # here: pytester removes modules that a test imports, and torch cannot come twice

    torch.set_num_threads(1)  # arrays are small, and the workers of pytest-xdist share the cores

with suppress(ImportError):
    import matplotlib.figure  # noqa: F401  # for the same reason: half of it twice warns of itself

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

EVIL = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">'|`${7*7}`{{7*7}}"
"""A name as nobody should have it: it must be shown, and do nothing."""


def pytest_collection_finish() -> None:
    """What is loaded stays, and no garbage collection examines it: each full one would take half a second."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Search paths and modules that a test loads are gone after it: those of the next may bear the same names."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name == "mine" or name.startswith(("_normcheck_target_", "nc_")):
            del sys.modules[name]


def _outcomes(fault: str | None, target: str) -> list[Outcome]:
    """A few checks of the reference, sound or with a fault, under a name."""
    normalizer = families.get("layer_norm")
    subject = replace(faults.subject(normalizer, faults.get(fault) if fault else None), name=target)
    out = []
    for name in ("value", "input-gradient", "gradient-mode", "moments", "sign"):
        draws = [Draw(n=n, sets=12, format="float32", offset=offset) for n, offset in ((8, 1.0), (64, 300.0))]
        found = run_check(subject, CHECKS_BY_NAME[name], draws)
        if found.finding is not None:
            script = ("import torch", f"print({target!r})")
            replay = f"pytest --norm-replay {found.finding.replay}"
            made = replace(found.finding, replay=replay, script=script, cause=fault or "")
            found = replace(found, finding=made, diagnosis=(fault or "",))
        out.append(found)
    return out


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """A run of three: one is sound with a warning, one is broken and has an evil name, one could not be called."""
    outcomes = [*_outcomes(None, "sound.py:f"), *_outcomes("one-pass-variance", EVIL)]
    weak = CheckWarning("accuracy=half:bfloat16", "statistics are kept in bfloat16", "accuracy=half", "bfloat16")
    outcomes[0] = replace(outcomes[0], warnings=(weak,))
    outcomes.append(Outcome("rms_norm", "dead.py:f", "call", ERROR, reason=f"raised RuntimeError: {EVIL}"))
    return verdict.run("0.1.0", outcomes, {"effort": "quick", "seed": None})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("no browser on this machine: apt-get install chromium")
    driver = pytest.importorskip("playwright.sync_api")
    with driver.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield launched
        launched.close()
