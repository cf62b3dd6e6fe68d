"""What one identification costs on this machine: below three seconds of processor time.

pytest tests/benchmarks/test_identify_cost.py
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from normcheck.identify.identify import identify

CODE = str(Path(__file__).parents[1] / "user_code" / "conventions.py")
SECONDS = 3.0


@pytest.mark.parametrize("target", ["torch.nn:InstanceNorm2d", "torch.nn:LayerNorm", f"{CODE}:T5LayerNorm"])
def test_cost(target: str) -> None:
    """Processor time, which depends little on other processes."""
    started = time.process_time()
    report = identify(target)

    assert report.seconds > 0
    assert time.process_time() - started < SECONDS
