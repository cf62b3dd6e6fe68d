"""The Python interface: `check` and its verdict, without pytest; public names; one check as a Hypothesis test."""

from __future__ import annotations

import ast
import json
import pickle
import random
import re
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

import normcheck
from conftest import EVIL
from normcheck.core.events import CheckDone, CheckStarted, ClaimBound, ClaimDone
from normcheck.engine.run import events
from normcheck.families import CHECKS_BY_NAME
from normcheck.report.terminal import implementation as terminal

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((files("normcheck") / "report" / "schema.json").read_text())
FEW = ("value", "moments", "sign", "case_rescaling")


def good(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)


def doubled(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, 2 * eps)


def forward(x, weight, bias, eps):
    h = x.astype(np.float64)
    c = h - h.mean(-1, keepdims=True)
    return (c / np.sqrt((c * c).mean(-1, keepdims=True) + eps) * weight + bias).astype(x.dtype)


def backward(dy, x, weight, bias, eps):
    h, g = x.astype(np.float64), (dy * weight).astype(np.float64)
    c = h - h.mean(-1, keepdims=True)
    s = np.sqrt((c * c).mean(-1, keepdims=True) + eps)
    n = c / s
    dx = (g - g.mean(-1, keepdims=True) - n * (g * n).mean(-1, keepdims=True)) / s
    return dx.astype(x.dtype), (dy * n).sum(0).astype(x.dtype), dy.sum(0)


def raises(x, normalized_shape):
    raise RuntimeError("no kernel for this device")


def some_checks(claim, checks, settings):
    return [check for check in checks if check.name in FEW] if claim.implementation else []


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few checks of each claim: what `check` does with a stream does not depend on its length."""
    monkeypatch.setattr("normcheck.engine.run.checks_of", some_checks)


@pytest.fixture(scope="module")
def passed() -> normcheck.Verdict:
    return normcheck.check("torch.nn.functional:rms_norm", as_="rms_norm", effort="quick")


@pytest.fixture(scope="module")
def failed() -> Iterator[normcheck.Verdict]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("normcheck.engine.run.checks_of", some_checks)
        yield normcheck.check(doubled, "layer_norm", effort="quick")


def test_a_verdict_that_passes(passed: normcheck.Verdict) -> None:
    assert passed.ok
    assert (passed.kind, passed.target, passed.verdict) == ("rms_norm", "torch.nn.functional:rms_norm", "passed")
    assert passed.row["case_rescaling"] == "invariant"
    assert passed.row["weight_matrix_recentering"] == "not invariant"
    assert (passed.findings, passed.warnings, passed.errors, passed.gradient) == ((), (), (), "full")
    assert passed.compared > 10_000
    passed.raise_for_findings()


def test_a_verdict_that_fails(failed: normcheck.Verdict) -> None:
    """Findings are values; the exception is an AssertionError, so that a harness need not know this package."""
    assert not failed.ok
    assert [finding.check for finding in failed.findings] == ["value", "moments"]
    assert all(finding.observed > finding.allowed for finding in failed.findings)
    with pytest.raises(AssertionError, match="value does not hold") as caught:
        failed.raise_for_findings()
    assert isinstance(caught.value, normcheck.FindingsError)
    assert isinstance(caught.value, normcheck.NormcheckError)


def test_a_verdict_is_the_record(passed: normcheck.Verdict, failed: normcheck.Verdict) -> None:
    """Its document is valid, and it has an attribute for all that the schema knows of an implementation."""
    for verdict in (passed, failed):
        document = json.loads(verdict.to_json())
        jsonschema.validate(document, SCHEMA)
        (one,) = document["implementations"]
        for name, value in one.items():
            if name != "findings":
                assert json.loads(json.dumps(getattr(verdict, name))) == value, name
        assert [finding.record() for finding in verdict.findings] == one["findings"]
    known = {name for name in passed.__dataclass_fields__ if not name.startswith("_")}
    assert known == set(SCHEMA["$defs"]["implementation"]["properties"])


def test_a_verdict_is_frozen_and_travels(failed: normcheck.Verdict) -> None:
    with pytest.raises(AttributeError):
        failed.verdict = "passed"  # type: ignore[misc]

    assert pickle.loads(pickle.dumps(failed)) == failed


def test_its_text_is_the_block_of_the_terminal(failed: normcheck.Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    (one,) = json.loads(failed.to_json())["implementations"]

    assert str(failed).splitlines() == [text for text, _ in terminal.implementation(one, 100)]
    assert str(failed).splitlines()[0].endswith(": failed: 1 cause, 2 laws")
    assert repr(failed) == f"<Verdict layer_norm = {failed.target}: failed>"


class Reader(HTMLParser):
    """The tags and the text of a fragment."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.usefixtures("few")
def test_in_a_notebook() -> None:
    """Verdict, findings and row of Table 1; whatever a target is called, it is shown and does nothing."""

    def evil(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        return good(x, normalized_shape, weight, bias, eps) * 1.5

    evil.__qualname__ = EVIL
    verdict = normcheck.check(evil, "layer_norm", effort="quick")
    read = Reader(verdict._repr_html_())

    assert not read.open
    assert not {"script", "img", "style", "link", "iframe"} & set(read.tags)
    assert EVIL in read.text
    for words in ("failed", "value does not hold", "|y - exact y| <= bound", "Ba 2016", "yes"):
        assert words in read.text


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (good, "layer_norm"),
        (torch.nn.LayerNorm, "layer_norm"),
        (torch.nn.BatchNorm2d(6), "batch_norm"),
        ((forward, backward), "layer_norm"),
        ("torch.nn:RMSNorm", "rms_norm"),
        (normcheck.Implementation("group_norm", "torch.nn.functional:group_norm"), None),
        ("torch.nn.functional:rms_norm", None),
        ("rms_norm=torch.nn.functional:rms_norm", None),
        (good, None),
    ],
    ids=["function", "class", "instance", "pair", "text", "claim", "text of a kind", "KIND=TARGET", "of a kind"],
)
def test_targets(target: Any, kind: str | None) -> None:
    """Text, function, class, instance, pair, `Implementation`; without a kind, what it is found to be."""
    verdict = normcheck.check(target, kind, effort="quick")

    assert verdict.ok, str(verdict)
    assert kind in (verdict.kind, None)


@pytest.mark.usefixtures("few")
def test_a_contract() -> None:
    """A convention is declared by name; values may be numbers."""

    def unbiased(x, normalized_shape):
        axes = tuple(range(-len(normalized_shape), 0))
        return (x - x.mean(axes, keepdim=True)) / torch.sqrt(x.var(axes, keepdim=True) + 1e-3)

    declared = {"variance": "unbiased", "eps": 1e-3, "formats": "float64,float32"}
    verdict = normcheck.check(unbiased, "layer_norm", contract=declared, effort="quick")

    assert verdict.ok, str(verdict)
    assert verdict.contract == {"variance": "unbiased", "eps": "0.001", "formats": "float64,float32"}
    assert not normcheck.check(unbiased, "layer_norm", effort="quick").ok


@pytest.mark.parametrize(
    ("kind", "more", "says"),
    [
        ("layernorm", {}, "unknown kind 'layernorm'; did you mean 'layer_norm'?"),
        ("layer_norm", {"effort": "hard"}, "unknown effort 'hard'; known: smoke, quick, default, deep"),
        ("layer_norm", {"contract": {"epsplace": "x"}}, "unknown contract key 'epsplace'; did you mean 'eps-place'?"),
        ("layer_norm", {"contract": {"eps-place": "ouside"}}, "contract eps-place=ouside: did you mean 'outside'?"),
    ],
)
def test_wrong_words(kind: str, more: dict[str, Any], says: str) -> None:
    with pytest.raises(normcheck.UsageError, match=re.escape(says)):
        normcheck.check(good, kind, **more)


@pytest.mark.parametrize(
    ("target", "kind", "error", "says"),
    [
        ("nowhere.at_all:f", "layer_norm", normcheck.UsageError, "nowhere.at_all:f: there is no module 'nowhere'; is"),
        ("torch", "layer_norm", normcheck.UsageError, "target 'torch' is neither package.module:attribute nor"),
        (torch.softmax, None, normcheck.UsageError, "behaves as no kind that is known; nearest is "),
        (raises, "layer_norm", normcheck.CallError, "test_api:raises raised RuntimeError: no kernel for this device"),
    ],
)
def test_what_cannot_be_checked(target: Any, kind: str | None, error: type[Exception], says: str) -> None:
    """An exception, in the sentence that pytest prints."""
    with pytest.raises(error, match=re.escape(says)):
        normcheck.check(target, kind)


@pytest.mark.usefixtures("few")
def test_nothing_compared_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normcheck.engine.run.checks_of", lambda claim, checks, settings: [])
    verdict = normcheck.check(good, "layer_norm")

    assert (verdict.verdict, verdict.ok) == ("inconclusive", False)
    with pytest.raises(normcheck.FindingsError, match="test_api:good: no check could compare anything"):
        verdict.raise_for_findings()


@pytest.mark.usefixtures("few")
def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """A function receives each event; True is a line for each result, on stderr; without it nothing is printed."""
    seen: list[Any] = []
    normcheck.check(good, "layer_norm", effort="quick", progress=seen.append)
    assert [type(one) for one in seen] == [ClaimBound, *[CheckStarted, CheckDone] * (1 + len(FEW)), ClaimDone]
    assert capsys.readouterr() == ("", "")

    normcheck.check(good, "layer_norm", effort="quick", progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 2 + len(FEW)
    assert re.search(
        r"^layer_norm test_api:good: value: passed, [\d,]+ numbers in [\d.]+ s$", printed.err, re.MULTILINE
    )


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training harness may call from its evaluation: gradients are checked all the same."""
    monkeypatch.setattr("normcheck.engine.run.checks_of", lambda *_: [CHECKS_BY_NAME["input-gradient"]])
    with mode():
        verdict = normcheck.check(good, "layer_norm", effort="quick")

    assert verdict.checks["passed"] == 3, verdict.not_checked


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Other than the one thread of a check, so that what a check leaves behind is seen."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("few", "two_threads")
def test_progress_that_raises_ends_the_check() -> None:
    def stop(event: Any) -> None:
        if isinstance(event, CheckStarted):
            raise KeyboardInterrupt

    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        normcheck.check(good, "layer_norm", effort="quick", progress=stop)
    assert torch.get_num_threads() == threads


def state() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(), "torch random": torch.get_rng_state().tolist(),
        "numpy random": str(np.random.get_state()),  # noqa: NPY002  # what old code draws from
        "random": random.getstate(), "dtype": torch.get_default_dtype(),
        "grad mode": torch.is_grad_enabled(), "warnings": list(warnings.filters), "path": list(sys.path),
        "numpy errors": np.geterr(), "folder": str(Path.cwd()),
        "modules of files": [name for name in sys.modules if name.startswith("_normcheck_target_")],
    }  # fmt: skip


@pytest.mark.usefixtures("two_threads")
def test_nothing_global_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads, random states, warnings, search path: as before, for a module that draws its parameters too."""
    (tmp_path / "mine.py").write_text(
        "import torch, warnings\n"
        "class Mine(torch.nn.BatchNorm1d):\n"
        "    def forward(self, x):\n"
        "        warnings.warn('slow')\n"
        "        return super().forward(x)\n"
    )
    monkeypatch.chdir(tmp_path)
    before = state()
    normcheck.check("mine.py:Mine", "batch_norm", effort="quick")

    assert state() == before


@pytest.mark.usefixtures("few")
def test_a_file_that_is_edited_is_read_again(tmp_path: Path) -> None:
    """In a notebook one edits and checks again."""
    mine = tmp_path / "mine.py"
    text = (
        "import torch\n"
        "def f(x, normalized_shape, eps=1e-5):\n"
        "    return torch.nn.functional.layer_norm(x, normalized_shape, eps={})\n"
    )
    mine.write_text(text.format("3 * eps"))
    assert not normcheck.check(f"{mine}:f", "layer_norm", effort="quick").ok
    mine.write_text(text.format("eps"))
    assert normcheck.check(f"{mine}:f", "layer_norm", effort="quick").ok


def python(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_in_an_empty_folder_without_pytest(tmp_path: Path) -> None:
    code = (
        "import sys, normcheck\n"
        "print(normcheck.check('torch.nn.functional:rms_norm', as_='rms_norm', effort='quick'))\n"
        "assert not {'pytest', '_pytest'} & set(sys.modules)"
    )

    assert python(code, tmp_path).startswith("rms_norm = torch.nn.functional:rms_norm: passed\n")


def test_importing_it_costs_nothing(tmp_path: Path) -> None:
    code = "import sys, normcheck; print({'numpy', 'torch', 'hypothesis', 'pytest', 'dataclasses'} & set(sys.modules))"

    assert python(code, tmp_path) == "set()\n"


def test_public_names() -> None:
    """Each can be imported, is listed, and is declared for type checkers; nothing else is there."""
    for name in normcheck.__all__:
        assert getattr(normcheck, name) is not None
        assert name in dir(normcheck)
    with pytest.raises(AttributeError, match="has no attribute 'chekc'"):
        _ = normcheck.chekc  # type: ignore[attr-defined]
    stub = ast.parse((files("normcheck") / "__init__.pyi").read_text())
    declared = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    declared |= {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign)}
    assert declared == set(normcheck.__all__)


def test_examples_import_public_names_alone() -> None:
    """The Python of README and guide uses `normcheck` and its public names, no module below it."""
    texts = [ROOT / "README.md", *(ROOT / "normcheck" / "explain" / "guide").glob("*.md")]
    blocks = [
        textwrap.dedent(block)
        for path in texts
        for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    ]
    used = set()
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                assert not [alias for alias in node.names if alias.name.startswith("normcheck.")]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("normcheck"):
                assert node.module == "normcheck"
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "normcheck":
                used.add(node.attr)

    assert {"check", "given_cases"} <= used
    assert used - {"verify"} <= set(normcheck.__all__)  # verify is the fixture's


def test_one_check_as_a_hypothesis_test() -> None:
    """It finds a fault on its smallest case, and gives the command that repeats it."""
    normcheck.given_cases(good, as_="layer_norm", check="value")()
    with pytest.raises(normcheck.FindingsError, match=r"value does not hold(.|\n)*--norm-replay value/"):
        normcheck.given_cases(doubled, as_="layer_norm", check="value")()


def test_no_witness_is_no_failure_of_one_case() -> None:
    """A check that seeks a witness for a "no" finds none on most cases."""
    normcheck.given_cases(good, as_="layer_norm", check="weight_vector_rescaling")()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("torch.nn.functional:rms_norm", "rms_norm", "valeu"), "there is no check 'valeu'; did you mean 'value'?"),
        (
            ("torch.nn.functional:rms_norm", "rms_norm", "white-scale"),
            "the check white-scale does not concern rms_norm",
        ),
        (("torch.nn.functional:rms_norm", "rms_norm", "copies"), "the check copies has no cases: does not apply"),
        (("torch.nn.functional:rms_norm", "rmsnorm", "value"), "unknown kind 'rmsnorm'; did you mean 'rms_norm'?"),
    ],
)
def test_cases_that_cannot_be_given(words: tuple[str, str, str], says: str) -> None:
    with pytest.raises(normcheck.UsageError, match=re.escape(says)):
        normcheck.given_cases(*words)


def test_the_stream_is_the_one_of_the_engine() -> None:
    """`check` has no loop of its own over checks."""
    assert normcheck.check.__globals__["run"].events is events
