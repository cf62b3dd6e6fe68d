"""Functions of C: a source is compiled, a shared library is opened; the right pass, the wrong are found and named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import normcheck
from normcheck.frameworks.c.declaration import declared

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


CRASHES = "void f(const float *x, float *y, int rows, int n, float eps) { *(volatile int *)0 = 1; }"


def test_a_function_that_crashes_is_a_verdict_where_it_is_isolated(tmp_path: Path) -> None:
    (tmp_path / "crash.c").write_text(CRASHES, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--norm", "rms_norm=crash.c:f",
               "--norm-isolate", "--norm-effort", "smoke"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (1, 4)
    assert "SIGSEGV" in done.stdout + done.stderr


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
