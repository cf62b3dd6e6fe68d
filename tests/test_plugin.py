"""The plugin as its users meet it: options, ini table, hook, fixture, exit status, JSON, workers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from normcheck.pytest_plugin import plugin

GOOD = """
import torch

def good(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    axes = tuple(range(-len(normalized_shape), 0))
    c = h - h.mean(axes, keepdim=True)
    y = c * torch.rsqrt((c * c).mean(axes, keepdim=True) + eps)
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return y.to(x.dtype)

def unbiased(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    y = (x - x.mean(axes, keepdim=True)) / torch.sqrt(x.var(axes, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias

def no_mean(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    y = x / torch.sqrt((x * x).mean(axes, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias

def detached(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    c = x - x.mean(axes, keepdim=True).detach()
    y = c * torch.rsqrt((c * c).mean(axes, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias

def raises(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    raise RuntimeError("no kernel for this device")

def flat(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return x.flatten()

def wants_more(x, normalized_shape, temperature):
    return x

class Broken(torch.nn.Module):
    def __init__(self, normalized_shape, eps=1e-5):
        raise ValueError("needs a license")
"""

SIX = {
    "layer_norm": "LayerNorm", "rms_norm": "RMSNorm", "batch_norm": "BatchNorm2d", "group_norm": "GroupNorm",
    "instance_norm": "instance_norm", "weight_norm": "weight_norm",
}  # fmt: skip
"""The layers of tests/user_code/six_layers.py."""
SCREEN = (40, 80)
"""Rows and columns: what a laptop's terminal shows without scrolling. Eight rows are pytest's own, a character for each
of 500 tests."""

PASSES = "layer_norm=torch.nn.functional:layer_norm"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(mine=GOOD)
    return pytester


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    """A quick run in this process, in a folder with nothing but mine.py."""
    return project.runpytest_inprocess("-q", "-p", "no:cacheprovider", "--norm-effort", "quick", *args)


def records(project: pytest.Pytester) -> dict[str, dict]:
    document = json.loads((project.path / "out.json").read_text())
    jsonschema.validate(document, json.loads((files("normcheck") / "report" / "schema.json").read_text()))
    return {one["target"]: one for one in document["implementations"]}


def test_pass(project: pytest.Pytester) -> None:
    """A correct function passes with exit status 0, its row of Table 1, its gradient and its counts in the JSON."""
    result = run(project, "--norm", PASSES, "--norm", "layer_norm=./mine.py:good", "--norm-json", "out.json")

    assert result.ret == 0
    found = records(project)
    assert [one["verdict"] for one in found.values()] == ["passed", "passed"]
    one = found["./mine.py:good"]
    assert one["row"] == {
        "weight_matrix_rescaling": "invariant",
        "weight_matrix_recentering": "invariant",
        "weight_vector_rescaling": "not invariant",
        "dataset_rescaling": "invariant",
        "dataset_recentering": "not invariant",
        "case_rescaling": "invariant",
    }
    assert (one["gradient"], one["findings"], one["diagnosis"]) == ("full", [], [])
    assert one["compared"] > 10_000
    assert one["accuracy"]["backward bfloat16"]["class"] == "sound"
    result.stdout.fnmatch_lines(["*Table 1 of the layer-norm paper, as measured*", "layer_norm (Ba 2016*yes*yes*no*"])


def test_fail(project: pytest.Pytester) -> None:
    """A wrong variance ends with exit status 1, findings with a replay command, and the laws in the terminal."""
    result = run(project, "--norm", "layer_norm=mine:unbiased", "--norm-json", "out.json")

    assert result.ret == 1
    one = records(project)["mine:unbiased"]
    assert one["verdict"] == "failed"
    assert [f["check"] for f in one["findings"]] == ["conventions"]
    assert all(f["observed"] == "inf" or f["observed"] > f["allowed"] for f in one["findings"])
    assert one["findings"][0]["replay"].startswith("pytest --norm layer_norm=mine:unbiased --norm-replay value")
    result.stdout.fnmatch_lines([
        "layer_norm mine:unbiased: it follows variance=unbiased, which is not declared",
        "*law *|y - exact y| <= bound*",
        "layer_norm = mine:unbiased: failed: 1 cause, 1 law*",
        "  if meant    pytest --norm layer_norm=mine:unbiased --norm-contract*",
    ])  # fmt: skip


def test_a_fault_is_told_once(project: pytest.Pytester) -> None:
    """The first finding in full, the others of the same cause by their number; with -v all are told in full."""
    chosen = ("--norm", "layer_norm=mine:no_mean", "-k", "moments or value")
    first = run(project, *chosen)
    once = first.stdout.str()
    assert first.ret == 1
    full = run(project, *chosen, "-v", "-v").stdout.str()

    assert "\n  gradient " not in once  # no check of it was asked
    assert once.count("\n  law  ") == 1
    assert "same cause as value" not in once
    assert "\n  moments: same cause as value, mean-not-subtracted, " in full
    assert once.count("\nFAILED ") == 1
    assert "1 failed" in once
    assert "1 same cause" in once
    assert full.count("\n  law  ") == 2
    assert "2 failed" in full


def test_six_layers_of_a_library_fit_on_a_screen(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five are right, with one warning, which is written once; the variance in one pass fails, as one cause."""
    monkeypatch.setenv("COLUMNS", str(SCREEN[1]))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)  # annotations are lines of their own
    monkeypatch.setenv("CI", "1")  # pytest then writes its last lines in full, which are the longest
    project.makepyfile(six_layers=(Path(__file__).parent / "user_code" / "six_layers.py").read_text())
    named = [word for kind, name in SIX.items() for word in ("--norm", f"{kind}=six_layers.py:{name}")]
    effort = ("--norm-effort", "quick")  # more takes a minute and shows the same
    result = project.runpytest_subprocess("-q", "-p", "no:cacheprovider", *effort, *named, "--norm-json", "out.json")

    assert result.ret == 1
    found = {one["kind"]: one for one in records(project).values()}
    assert [kind for kind, one in found.items() if one["verdict"] != "passed"] == ["instance_norm"]
    assert [cause["name"] for cause in found["instance_norm"]["causes"]] == ["one-pass-variance"]
    for one in found.values():
        assert {warning["name"].partition(":")[0] for warning in one["warnings"]} <= {"accuracy=half"}
    shown = result.stdout.str()
    assert shown.count("compute in") == 1
    assert shown.count("\nFAILED ") == 1
    rows = sum(max(1, -(-len(line) // SCREEN[1])) for line in shown.splitlines() if line != "written: out.json")
    assert rows <= SCREEN[0], shown


def test_without_a_kind(project: pytest.Pytester) -> None:
    """A target alone is checked as what it is found to be, under the conventions that it follows; that is said."""
    result = run(project, "--norm", "mine:unbiased", "--norm-json", "out.json")

    assert result.ret == 0
    one = records(project)["mine:unbiased"]
    assert (one["kind"], one["verdict"], one["contract"]["variance"]) == ("layer_norm", "passed", "unbiased")
    assert one["information"]["identified"].startswith("as layer_norm variance=unbiased")


def test_without_a_kind_that_is_known(project: pytest.Pytester) -> None:
    """What is no normalizer that is known needs a kind, and says how to name it."""
    project.makepyfile(other="import torch\ndef soft(x):\n    return torch.softmax(x, -1)\n")
    result = run(project, "--norm", "other:soft")

    assert result.ret == 4
    result.stdout.fnmatch_lines(["other:soft: call: other:soft behaves as no kind that is known; nearest is *"])


def test_gradient_mode(project: pytest.Pytester) -> None:
    """A gradient with E[x] held constant is named; it fails the default claim and passes its own."""
    assert run(project, "--norm", "layer_norm=mine:detached", "--norm-json", "out.json").ret == 1
    assert records(project)["mine:detached"]["gradient"] == "mean-constant"

    claims = ("--norm-gradient", "mean-constant", "--norm-contract", "formats=float32,float64")
    result = run(project, "--norm", "layer_norm=mine:detached", *claims, "--norm-json", "out.json")

    assert result.ret == 0
    assert records(project)["mine:detached"]["verdict"] == "passed"


USAGE = {
    "layernorm=mine:good": "unknown kind 'layernorm'; did you mean 'layer_norm'?",
    "layer_norm=nowhere.at_all:f": "nowhere.at_all:f: there is no module 'nowhere'; is it installed, or is the "
    "working directory another?",
    "layer_norm=mine:godo": "mine:godo: 'mine' has no attribute 'godo'; did you mean 'good'?",
    "layer_norm=mine:Broken": "mine:Broken: constructing it as Broken(normalized_shape=8, eps=1e-05) raised "
    "ValueError: needs a license",
    "layer_norm=mine:wants_more": "mine:wants_more: as layer_norm it gets no value for its parameter 'temperature'; "
    "give it a default, or name it as one of input, normalized_shape, weight, bias, eps",
    "layer_norm=mine": "target 'mine' is neither package.module:attribute nor path/to/file.py:attribute",
    "layer_norm=nofile.py:f": "there is no file 'nofile.py'",
}


def test_usage(project: pytest.Pytester) -> None:
    """What cannot be loaded or bound is said in one sentence each, the rest is checked, and the exit status is 4."""
    named = [word for claim in USAGE for word in ("--norm", claim)]
    result = run(project, *named, "--norm", PASSES, "--norm-json", "out.json")

    assert result.ret == 4
    found = {f"{one['kind']}={one['target']}": one for one in records(project).values()}
    for claim, sentence in USAGE.items():
        one = found[claim]
        assert one["verdict"] == "error"
        assert len(one["errors"]) == 1
        assert sentence in one["errors"][0]
    assert found[PASSES]["verdict"] == "passed"


def test_error(project: pytest.Pytester) -> None:
    """An implementation that raises or returns another shape is an error of its own, with exit status 1."""
    names = ("layer_norm=mine:raises", "layer_norm=mine:flat", PASSES)
    result = run(project, *(word for name in names for word in ("--norm", name)), "--norm-json", "out.json")

    assert result.ret == 1
    found = records(project)
    assert found["mine:raises"]["errors"] == [
        "mine:raises raised RuntimeError: no kernel for this device (a 6x8 float32 input)"
    ]
    assert found["mine:flat"]["errors"] == [
        "mine:flat returned a tensor of shape (48,) for an input of shape (6, 8); "
        "the output must have the input's shape"
    ]
    assert found["torch.nn.functional:layer_norm"]["verdict"] == "passed"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("eps-place=ouside", "contract eps-place=ouside: did you mean 'outside'?"),
        ("epsplace=outside", "unknown contract key 'epsplace'; did you mean 'eps-place'?"),
        ("outside", "contract 'outside' is not KEY=VALUE, as in eps-place=outside"),
    ],
)
def test_contract_errors(project: pytest.Pytester, option: str, sentence: str) -> None:
    """A convention that is none ends the run before it starts."""
    result = run(project, "--norm", PASSES, "--norm-contract", option)

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{sentence.replace('[', '[[]')}"])


def test_ini_and_hook(project: pytest.Pytester) -> None:
    """Implementations named by the ini table and by a conftest are checked beside the project's own tests."""
    project.makeini(f"[pytest]\nnorm =\n    {PASSES}\n")
    project.makeconftest(
        "import normcheck\n"
        "def pytest_normcheck_implementations():\n"
        "    return [normcheck.Implementation('rms_norm', 'torch.nn.functional:rms_norm')]\n"
    )
    project.makepyfile(test_own="def test_own(): pass\n")
    result = run(project, "--norm-json", "out.json")

    assert result.ret == 0
    assert set(records(project)) == {"torch.nn.functional:layer_norm", "torch.nn.functional:rms_norm"}
    assert result.parseoutcomes()["passed"] > 50


def test_option_runs_only_the_suite(project: pytest.Pytester) -> None:
    """With --norm and no path, the project's own tests stay out."""
    project.makepyfile(test_own="def test_own(): raise SystemExit('must not run')\n")

    assert run(project, "--norm", PASSES).ret == 0


def test_fixture(project: pytest.Pytester) -> None:
    """normcheck.verify checks an object inside a test, and fails it with the laws that do not hold."""
    project.makepyfile(
        test_own="""
        import mine, torch

        def test_good(normcheck):
            normcheck.verify(mine.good, as_="layer_norm")

        def test_instance(normcheck):
            normcheck.verify(torch.nn.BatchNorm2d(6), as_="batch_norm")

        def test_bad(normcheck):
            normcheck.verify(mine.unbiased, as_="layer_norm")

        def test_unknown(normcheck):
            normcheck.verify(mine.good, as_="layernorm")
        """
    )
    result = run(project, "test_own.py")

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["*mine:unbiased: it follows variance=unbiased*", "*unknown kind 'layernorm'; did you mean 'layer_norm'?"]
    )


def test_nothing_compared(project: pytest.Pytester) -> None:
    """A run that compared nothing does not end with 0."""
    assert run(project, "--norm", PASSES, "-k", "test_call").ret == 1


def test_properties_without_an_implementation(project: pytest.Pytester) -> None:
    """The suite alone says what it needs."""
    result = run(project, "--pyargs", "normcheck.properties")

    assert result.ret == 4 or result.ret == 2
    result.stdout.fnmatch_lines(["*the properties need an implementation: add --norm KIND=TARGET*"])


def test_workers(project: pytest.Pytester) -> None:
    """Two worker processes give one summary and one document, the same as one process."""
    assert run(project, "--norm", PASSES, "--norm-json", "out.json").ret == 0
    alone = records(project)["torch.nn.functional:layer_norm"]
    result = project.runpytest_subprocess(
        "-q", "-n", "2", "--norm-effort", "quick", "--norm", PASSES, "--norm-json", "out.json"
    )

    assert result.ret == 0
    merged = records(project)["torch.nn.functional:layer_norm"]
    for key in ("verdict", "row", "gradient", "checks", "compared"):
        assert merged[key] == alone[key]
    assert result.stdout.str().count("Table 1 of the layer-norm paper") == 1


LIGHT = "import sys, {module}; sys.exit(bool({{'torch', 'numpy', 'hypothesis'}} & set(sys.modules)))"


@pytest.mark.parametrize(
    ("module", "heavy"), [("normcheck.pytest_plugin.plugin", False), ("normcheck.engine.run", True)]
)
def test_costs_nothing(module: str, heavy: bool) -> None:
    """The plugin imports neither torch nor numpy nor hypothesis; and this test would see it if it did."""
    done = subprocess.run([sys.executable, "-c", LIGHT.format(module=module)], check=False)

    assert bool(done.returncode) is heavy


def test_properties_are_packaged() -> None:
    """The suite is found as a part of the package."""
    from normcheck.pytest_plugin.plugin import properties

    names = {path.name for path in Path(properties()).glob("test_*.py")}
    assert {"test_table.py", "test_gradients.py"} <= names


def test_no_module_of_ours_is_compiled_for_pytest(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where no bytecode may be written and all of normcheck is marked for rewriting, as in a container."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    project.makeconftest(
        """
        import sys
        import pytest

        pytest.register_assert_rewrite("normcheck.engine")

        def pytest_sessionfinish():
            own = [module for name, module in sys.modules.items() if name.startswith("normcheck.engine")]
            print(len(own), "own,", sum("rewrite" in type(module.__loader__).__module__ for module in own), "rewritten")
        """
    )
    result = project.runpytest_subprocess(
        "-p", "no:cacheprovider", "-s", "--norm", "layer_norm=torch.nn.functional:layer_norm", "-k", "moments"
    )

    assert result.ret == 0
    result.stdout.re_match_lines([r".*\b\d\d own, 0 rewritten"])


def test_help_has_four_groups_of_options_each_with_an_example(project: pytest.Pytester) -> None:
    """Each example names an option of its group, but for the first, and all of them can be read by pytest."""
    shown = project.runpytest_inprocess("--help").stdout.str()
    groups = re.findall(
        r"^normalization layers: (.*)\n  example: pytest (.*)\n  options:\n(.*(?:\n .*)*)", shown, re.MULTILINE
    )

    assert [topic for topic, _, _ in groups] == list(plugin.GROUPS)
    for _, example, options in groups:
        last = [word for word in example.split() if word.startswith("--norm")][-1]
        assert f"  {last}" in options
        assert project.runpytest_inprocess(*example.split(), "--version").ret == 0
