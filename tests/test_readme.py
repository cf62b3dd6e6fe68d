"""What the README shows is what the commands print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from normcheck.frameworks.load import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(marker: str) -> list[str]:
    """The lines of the fenced block that follows a comment."""
    found = re.search(re.escape(f"<!-- {marker}") + r".*?-->\n```\n(.*?)\n```", README, re.DOTALL)
    assert found is not None
    return found.group(1).splitlines()


def test_failing_kernel() -> None:
    """The failure in the README is the failure that its command prints."""
    command = re.search(r"`(pytest --norm layer_norm=tests/user_code/fused.py[^`]*)`", README)
    assert command is not None
    done = subprocess.run(
        [sys.executable, "-m", *command.group(1).split(), "-p", "no:cacheprovider"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    shown, printed = block("printed by the command above"), done.stdout.splitlines()
    start = printed.index(shown[0])
    assert printed[start : start + len(shown)] == shown


def test_table(pytester: pytest.Pytester) -> None:
    """The table in the README is the table that torch's functions give."""
    shown = block("printed by pytest properties")
    targets = [line.split()[0] for line in shown if line.startswith("  torch")]
    named = [word for t in targets for word in ("--norm", f"{t.rpartition(':')[2].lstrip('_')}={t}")]
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "--norm-effort", "quick", *named)

    assert result.ret == 0
    start = result.outlines.index(shown[0].rstrip())
    assert result.outlines[start : start + len(shown)] == [line.rstrip() for line in shown]


def test_the_usual_tests_pass_the_failing_kernel() -> None:
    """The kernel of the README passes allclose and gradcheck on standard normal data, as it says."""
    path = ROOT / "tests" / "user_code" / "fused.py"
    kernel = load(f"{path}:fast_layer_norm")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 256, generator=generator)
    assert torch.allclose(kernel(x, (256,)), torch.nn.functional.layer_norm(x, (256,)), atol=1e-6)
    small = torch.randn(4, 8, generator=generator, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda x: kernel(x, (8,)), (small,))
