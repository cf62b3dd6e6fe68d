"""The examples run, on little; what they show is measured by themselves."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("nc_digits", ROOT / "examples" / "recurrent_digits.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def steps_of(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Series whose class is the unit that is switched on at the first steps."""
    labels = torch.arange(count) % 4
    x = 0.1 * torch.randn(5, count, 4, generator=torch.Generator().manual_seed(count))
    x[:2, torch.arange(count), labels] += 1.0
    return x, labels


@pytest.mark.parametrize("net", ["LSTM", "LN-LSTM", "BN-LSTM"])
def test_each_net_learns_and_repeats_with_its_seed(example: Any, net: str) -> None:
    runs = [list(example.train_epochs(net, steps_of(256), steps_of(64), 12, seed=1)) for _ in range(2)]

    assert runs[0] == runs[1]
    assert runs[0][-1][1] > 0.9


def test_the_slope_falls_with_the_gain_and_the_gradient_does_not(example: Any) -> None:
    """The norm of W h divides by what the gain made small: what is left over a step is at least about 1."""
    slopes = [example.gradient_kept(gain, seed=0, steps=20) for gain in (0.1, 0.5, 1.0)]

    assert [round(slope, 2) for slope, _ in slopes] == [0.99, 0.82, 0.6]
    assert all(factor > 0.99 for _, factor in slopes)


def test_the_whole_example_on_little(example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command of the README, shorter: a line for each net and gain, and a picture."""
    pytest.importorskip("sklearn", reason="pip install 'normcheck[examples]'")
    example.main(["--epochs", "1", "--seeds", "1", "--out", str(tmp_path / "plot.png")])
    lines = capsys.readouterr().out.splitlines()

    assert [line.split()[0] for line in lines[1:4]] == ["LSTM", "LN-LSTM", "BN-LSTM"]
    assert len(lines) == 5 + len(example.GAINS) + 1
    assert (tmp_path / "plot.png").stat().st_size > 10_000
