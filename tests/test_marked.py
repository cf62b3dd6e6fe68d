"""Code that is marked in a project's files: found by its source, checked with its contract, refused in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import normcheck
from normcheck.core.claim import Implementation
from normcheck.core.errors import UsageError
from normcheck.engine.marked import marked

NORMS = """\
import torch
import normcheck as nc

if torch.__version__:
    @torch.no_grad()
    @nc.normalizer("l2_norm")
    @nc.normalizer(kind="layer_norm", contract={"eps-place": "outside", "eps": 1e-6})
    def layer_norm(x, weight, bias, eps=1e-6):
        return x

def plain(x):
    return x
"""

MODULES = """\
import torch
try:
    from normcheck import normalizer as marks
except ImportError:
    def marks(kind, **_):
        return lambda marked: marked

class Outer:
    @marks("rms_norm")
    class RMSNorm(torch.nn.RMSNorm):
        pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two modules with marks, in the working directory."""
    folder = tmp_path / "marked_package"
    (folder / "deep").mkdir(parents=True)
    for path, text in (("", ""), ("deep/", ""), ("norms", NORMS), ("deep/modules", MODULES)):
        (folder / (path + "__init__.py" if path in ("", "deep/") else path + ".py")).write_text(text)
    monkeypatch.chdir(tmp_path)
    return folder


def test_marks_are_found_by_their_source(package: Path) -> None:
    assert marked("marked_package") == [
        Implementation("rms_norm", "marked_package.deep.modules:Outer.RMSNorm"),
        Implementation("l2_norm", "marked_package.norms:layer_norm"),
        Implementation("layer_norm", "marked_package.norms:layer_norm", {"eps-place": "outside", "eps": "1e-06"}),
    ]
    assert marked("marked_package.deep") == marked("marked_package")[:1]
    assert not [name for name in sys.modules if name.startswith("marked_package")]


def test_what_is_marked_stays_as_it_is() -> None:
    assert normcheck.normalizer("layer_norm")(len) is len


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing in marked_package is marked"),
        ("@normcheck.normalizer(KIND)\ndef f(x): ...", "norms.py, line 2: the mark cannot be read"),
        ("@normcheck.normalizer\ndef f(x): ...", "norms.py, line 2: the mark cannot be read"),
        ("@normcheck.normalizer('layer_norm', eps=1)\ndef f(x): ...", "norms.py, line 2: the mark cannot be read"),
        ("def f():\n    @normcheck.normalizer('rms_norm')\n    def g(x): ...", "line 3: what a function defines"),
        ("def f(:", "cannot be read as Python"),
    ],
)
def test_a_mark_that_cannot_be_read_is_a_sentence(package: Path, text: str, says: str) -> None:
    (package / "deep" / "modules.py").unlink()
    (package / "norms.py").write_text(f"import normcheck\n{text}\n")
    with pytest.raises(UsageError) as raised:
        marked("marked_package")

    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_mark_without_a_kind_is_refused_where_it_is_made() -> None:
    with pytest.raises(UsageError, match="names its kind"):
        normcheck.normalizer(len)  # type: ignore[arg-type]


def test_a_run_checks_what_is_marked(pytester: pytest.Pytester) -> None:
    """By the option alone, and beside the project's tests by the ini table; a kind that nobody knows is an error."""
    pytester.mkpydir("mynorms").joinpath("layers.py").write_text(MODULES)
    pytester.makepyfile(test_own="def test_own(): pass")
    pytester.makeini("[pytest]\nnorm_package = mynorms\nnorm_effort = smoke")
    alone = pytester.runpytest("-p", "no:cacheprovider", "--norm-package", "mynorms")
    beside = pytester.runpytest("-p", "no:cacheprovider")

    assert alone.ret == beside.ret == 0
    assert beside.parseoutcomes()["passed"] == alone.parseoutcomes()["passed"] + 1
    alone.stdout.fnmatch_lines(["rms_norm = mynorms.layers:Outer.RMSNorm: passed"])

    pytester.path.joinpath("mynorms", "layers.py").write_text(MODULES.replace("rms_norm", "rmsnorm"))
    wrong = pytester.runpytest("-p", "no:cacheprovider", "--norm-package", "mynorms")
    assert wrong.ret == 4
    assert "rms_norm" in wrong.stdout.str() + wrong.stderr.str()
    missing = pytester.runpytest("-p", "no:cacheprovider", "--norm-package", "mynorm")
    assert missing.ret == 4
    missing.stderr.fnmatch_lines(["ERROR: normcheck: there is no library 'mynorm'*"])
