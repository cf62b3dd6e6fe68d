"""A Triton kernel, in Triton's interpreter where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "triton_layer_norm.py"


@pytest.fixture
def interpreted(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytest.importorskip("triton", reason="Triton kernels are tried where triton is installed: pip install triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    return pytester


def run(project: pytest.Pytester, path: Path) -> pytest.RunResult:
    return project.runpytest_subprocess(
        "--norm", f"layer_norm={path}:layer_norm", "--norm-effort", "quick", "--norm-contract", "formats=float32", "-k",
        "value or input-gradient or parameter-gradients", "-p", "no:cacheprovider",
    )  # fmt: skip


def test_a_triton_kernel_is_checked(interpreted: pytest.Pytester) -> None:
    assert run(interpreted, EXAMPLE).ret == 0


def test_a_fault_in_a_triton_kernel_is_found(interpreted: pytest.Pytester) -> None:
    """Without the mean of the pulled gradient: statistics that are constants in part."""
    text = EXAMPLE.read_text(encoding="utf-8")
    wrong = text.replace("pull - tl.sum(pull, 0) / n - standard", "pull - standard")
    assert wrong != text
    path = interpreted.path / "wrong.py"
    path.write_text(wrong, encoding="utf-8")
    found = run(interpreted, path)

    assert found.ret == 1
    found.stdout.fnmatch_lines(["*broken*input-gradient*"])
