"""Functions of C: a source is compiled, a shared library is opened; the right pass, the wrong are found and named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import normcheck
from normcheck.frameworks.c.declaration import declared
from normcheck.frameworks.isolation.native_code import native_code

CODE = Path(__file__).parent / "user_code" / "c"

RIGHT = (("layer_norm", "layer_norm"), ("layer_norm", "layernorm_forward"), ("rms_norm", "rms_norm"))

WRONG = (
    ("one_pass", "value", "one-pass-variance-clamped"),
    ("tail_dropped", "value", ""),
    ("eps_ignored", "value", "eps-hard-coded"),
    ("writes_to_input", "forward-is-pure", "input-overwritten"),
)

REFUSED = (
    ("wrong.cpp:unknown_sizes", "call the number of sets rows and that of members n"),
    ("wrong.cpp:nothing", "it is not declared, or not exported; declare it, as in"),
    ("missing.c:layer_norm", "there is no file"),
)


@pytest.mark.parametrize(("kind", "name"), RIGHT)
def test_a_right_function_passes(kind: str, name: str) -> None:
    verdict = normcheck.check(f"{CODE}/right.c:{name}", as_=kind, effort="quick")
    assert verdict.ok, str(verdict)
    assert verdict.compared > 1000


def test_a_backward_function_is_found_by_its_name() -> None:
    assert normcheck.check(f"{CODE}/right.c:layernorm_forward", as_="layer_norm", effort="quick").gradient == "full"


@pytest.mark.parametrize(("name", "check", "fault"), WRONG)
def test_a_wrong_function_is_found(name: str, check: str, fault: str) -> None:
    verdict = normcheck.check(f"{CODE}/wrong.cpp:{name}", as_="layer_norm", effort="quick")
    assert check in [one.check for one in verdict.findings]
    assert not fault or fault in verdict.diagnosis


@pytest.mark.parametrize(("target", "said"), REFUSED)
def test_what_cannot_be_called_is_said_in_one_sentence(target: str, said: str) -> None:
    with pytest.raises(normcheck.UsageError, match=said) as error:
        normcheck.check(f"{CODE}/{target}", as_="layer_norm", effort="smoke")
    assert "\n" not in str(error.value)


def test_a_source_with_an_error_is_said_with_the_line_of_the_compiler(tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text("void f(const float *x, float *y, int rows, int n) { y = 1 +; }", encoding="utf-8")
    with pytest.raises(normcheck.UsageError, match=r"bad.c is not compiled: bad.c:1:.*error"):
        normcheck.check(f"{tmp_path}/bad.c:f", as_="layer_norm", effort="smoke")


def test_a_compiler_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    (tmp_path / "f.c").write_text("void f(const float *x, float *y, int rows, int n) {}", encoding="utf-8")
    with pytest.raises(normcheck.UsageError, match="name one in CC"):
        normcheck.check(f"{tmp_path}/f.c:f", as_="layer_norm", effort="smoke")


def test_a_shared_library_is_declared_in_the_target_or_by_a_header(tmp_path: Path) -> None:
    library = tmp_path / "libnorms.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", CODE / "right.c", "-o", library, "-lm"], check=True)
    declaration = "void rms_norm(const float *x, const float *weight, float *y, long rows, long n, float eps);"
    with pytest.raises(normcheck.UsageError, match="a shared library needs a header beside it"):
        normcheck.check(f"{library}:rms_norm", as_="rms_norm", effort="smoke")
    assert normcheck.check(f"{library}:rms_norm(declaration={declaration!r})", as_="rms_norm", effort="smoke").ok
    (tmp_path / "norms.h").write_text(declaration, encoding="utf-8")
    assert normcheck.check(f"{library}:rms_norm", as_="rms_norm", effort="smoke").ok


def test_gradients_to_which_a_function_adds_begin_at_zero() -> None:
    """As it is called in training; a gradient of which it leaves out a part stays wrong."""
    verdict = normcheck.check(f"{CODE}/adding.c:norm_forward", as_="layer_norm", effort="quick")
    assert verdict.ok, str(verdict)
    assert "input-gradient" not in verdict.not_checked


CRASHES = "void f(const float *x, float *y, int rows, int n, float eps) { *(volatile int *)0 = 1; }"


KERNEL = """
import ctypes
import triton
def f(x, normalized_shape, weight=None, eps=1e-6):
    ctypes.string_at(0)
"""
"""What a kernel of Triton does under the interpreter where it reads a wrong address."""


def run(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--norm-effort", "smoke"]
    done = subprocess.run(
        [*command, *words], cwd=folder, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    return done.returncode, done.stdout + done.stderr


def test_a_function_that_crashes_is_a_verdict(tmp_path: Path) -> None:
    """It has a process of its own without an option, and what is beside it is checked all the same."""
    (tmp_path / "crash.c").write_text(CRASHES, encoding="utf-8")
    status, said = run(tmp_path, "--norm", "rms_norm=crash.c:f", "--norm", f"rms_norm={CODE / 'right.c'}:rms_norm",
                       "--norm-json", "out.json")  # fmt: skip
    assert status == 1
    assert "its process was ended by SIGSEGV" in said
    crashed, right = json.loads((tmp_path / "out.json").read_text())["implementations"]
    assert (crashed["verdict"], right["verdict"]) == ("error", "passed")
    assert right["compared"] > 1000


def test_it_needs_its_kind_and_can_run_in_this_process(tmp_path: Path) -> None:
    (tmp_path / "crash.c").write_text(CRASHES, encoding="utf-8")
    status, said = run(tmp_path, "--norm", "crash.c:f")
    assert status == 4
    assert "crash.c:f: a function of C is checked in a process of its own, which needs its kind: --norm" in said
    status, said = run(tmp_path, "--norm", "rms_norm=crash.c:f", "--norm-in-process")
    assert status == -signal.SIGSEGV
    status, said = run(tmp_path, "--norm", "rms_norm=crash.c:f", "--norm-in-process", "--norm-isolate")
    assert status == 4
    assert "--norm-isolate and --norm-in-process cannot be combined: leave one of them out" in said


@pytest.mark.parametrize("target", ["kernels.py:f", "package.kernels:f"])
def test_a_kernel_under_the_interpreter_of_triton_has_a_process(tmp_path: Path, target: str) -> None:
    (tmp_path / "package").mkdir()
    for name in ("kernels.py", "package/kernels.py"):
        (tmp_path / name).write_text(KERNEL, encoding="utf-8")
    for name in ("triton.py", "package/__init__.py"):
        (tmp_path / name).write_text("", encoding="utf-8")
    status, said = run(tmp_path, "--norm", f"rms_norm={target}", TRITON_INTERPRET="1", PYTHONPATH=str(tmp_path))
    assert status == 1
    assert "SIGSEGV" in said
    assert "in string_at at" in said


@pytest.mark.parametrize("target", [
    "torch.nn:LayerNorm", "no_such_module:f", "no_such_file.py:f", "sys:f", "torch.nn.no_such:f", torch.nn.LayerNorm,
])  # fmt: skip
def test_other_code_stays_in_this_process(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert native_code(target) == ""


@pytest.mark.parametrize(("text", "names"), [
    ("static void g(int n); /* void f(int a) */ void f(float *restrict y, const double x[]);", ["y", "x"]),
    ("void f(void);", []),
])  # fmt: skip
def test_declarations(text: str, names: list[str]) -> None:
    found = declared(text, "f")
    assert found is not None
    assert [one.name for one in found] == names


def test_a_type_that_is_not_known_is_named() -> None:
    with pytest.raises(normcheck.UsageError, match="struct tensor"):
        declared("void f(struct tensor *x, float *y, int n);", "f")
