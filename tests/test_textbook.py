"""Norms as textbooks write them pass with one warning, which --norm-strict makes a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import sweep

FILE = Path(__file__).parent / "user_code" / "textbook.py"
KINDS = ("layer_norm", "rms_norm", "batch_norm", "group_norm", "instance_norm")


@sweep("kind", KINDS)
def test_a_textbook_norm_has_one_warning(pytester: pytest.Pytester, kind: str) -> None:
    command = ("-p", "no:cacheprovider", "--norm", f"{kind}={FILE}:{kind}")
    found = pytester.runpytest_inprocess(*command)
    strict = pytester.runpytest_inprocess(*command, "--norm-effort", "quick", "--norm-strict")

    said = " ".join(found.stdout.str().split())
    assert found.ret == 0
    assert f"{kind}: passed: 1 warning" in said
    assert "the error is that of statistics kept in the input's format" in said
    assert "compute in float32, round the output" in said
    assert strict.ret == 1
