"""Programs that a tool makes of the code (--norm-translated): right code passes, wrong programs are found and named."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from sweeps import sweep

import normcheck
from normcheck.core.errors import UsageError
from normcheck.core.foreign_code import quiet
from normcheck.core.result import FAILED, PASSED, Outcome
from normcheck.engine.asker import Asker, checks_of
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS, CHECKS_BY_NAME
from normcheck.frameworks import translations
from normcheck.frameworks.torch import compiled

CODE = Path(__file__).parent / "user_code" / "translated.py"


@pytest.fixture(autouse=True)
def _without_a_compiler_of_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced and differentiated as by inductor, without the seconds of a C++ compiler."""
    monkeypatch.setattr(compiled, "backend", lambda: compiled.WITHOUT_CODE)


@functools.cache
def asked(kind: str, target: str, check: str) -> Outcome:
    """The outcome of a check of programs, with one example of each kind of draw."""
    (claim,) = claims([(kind, target)], {"translated": CHECKS_BY_NAME[check].translation})
    asker = Asker(Settings("quick"))
    with quiet():
        return asker.run_check(claim, CHECKS_BY_NAME[check])


RIGHT = (
    ("layer_norm", "torch.nn:LayerNorm"),
    ("rms_norm", "torch.nn:RMSNorm"),
    ("group_norm", "torch.nn:GroupNorm"),
    ("batch_norm", "torch.nn:BatchNorm1d"),
    ("instance_norm", "torch.nn:InstanceNorm1d"),
    ("batch_norm", "torch.nn.functional:batch_norm"),
    ("layer_norm", f"{CODE}:norm"),
    ("layer_norm", f"{CODE}:fused"),
)


@pytest.mark.parametrize("check", ["compiled-code", "compiled-batches", "exported-program"])
@sweep(("kind", "target"), RIGHT, ids=lambda one: one.rpartition(":")[2])
def test_right_code_is_right_as_a_program(kind: str, target: str, check: str) -> None:
    found = asked(kind, target, check)

    assert (found.status, found.warnings) == (PASSED, ()), found.finding
    assert found.compared > 50


def test_a_weight_is_no_batch() -> None:
    assert asked("weight_norm", "torch:_weight_norm", "compiled-code").status == PASSED
    assert asked("weight_norm", "torch:_weight_norm", "exported-program").status == PASSED
    assert not CHECKS_BY_NAME["compiled-batches"].concerns(normcheck.families.get("weight_norm"))


WRONG = (
    ("CompiledWithoutEps", "compiled-code", "compiled-drops-eps"),
    ("CompiledWithoutEps", "compiled-batches", "compiled-drops-eps"),
    ("CompiledWithoutEps", "exported-program", "exported-drops-eps"),
    ("CompiledInOnePass", "compiled-code", ""),
    ("other_backward", "compiled-code", ""),
    ("other_backward", "compiled-batches", ""),
    ("FrozenValue", "exported-program", ""),
)


@pytest.mark.parametrize(("name", "check", "fault"), WRONG)
def test_a_wrong_program_is_found(name: str, check: str, fault: str) -> None:
    found = asked("layer_norm", f"{CODE}:{name}", check)

    assert found.status == FAILED
    assert not fault or fault in found.diagnosis, found.diagnosis


def test_the_code_itself_is_right() -> None:
    """What is wrong in the programs is in no plain call."""
    for name in {name for name, _, _ in WRONG}:
        (claim,) = claims([("layer_norm", f"{CODE}:{name}")], {})
        assert Asker(Settings("quick")).run_check(claim, CHECKS_BY_NAME["input-gradient"]).status == PASSED


def test_running_statistics_that_a_graph_does_not_update_are_found() -> None:
    found = asked("batch_norm", f"{CODE}:StaleStatistics", "compiled-code")

    assert found.status == FAILED
    assert "running" in found.finding.law  # type: ignore[union-attr]  # it has one


def test_code_that_cannot_be_exported_is_a_finding_of_one_line() -> None:
    found = asked("layer_norm", f"{CODE}:BranchOnValue", "exported-program")

    assert found.status == FAILED
    assert found.finding is not None
    assert "in its export" in found.finding.detail
    assert "data-dependent" in found.finding.detail
    assert "\n" not in found.finding.detail


def test_a_program_for_one_number_of_cases_is_a_warning() -> None:
    found = asked("layer_norm", f"{CODE}:FrozenBatch", "exported-program")

    assert found.status == PASSED
    (warning,) = found.warnings
    assert warning.name == "one-batch-size"
    assert "specialized it to be a constant" in warning.text


def test_graph_breaks_are_counted_with_their_lines() -> None:
    found = asked("layer_norm", f"{CODE}:AnotherGraph", "compiled-batches")

    assert found.status == PASSED
    (warning,) = found.warnings
    line = 1 + next(n for n, text in enumerate(CODE.read_text().splitlines()) if "graph_break()" in text)
    assert warning.name == "graph-breaks"
    assert warning.text.startswith(f"1 graph breaks, where Python runs: translated.py:{line}: ")


def test_code_that_is_compiled_for_each_size_is_a_warning() -> None:
    (warning,) = asked("layer_norm", f"{CODE}:EachSizeAnew", "compiled-batches").warnings

    assert warning.name == "compiled-again"
    assert "4 times" in warning.text


def test_the_tool_is_named() -> None:
    assert asked("layer_norm", f"{CODE}:norm", "compiled-code").notes == {"compiled": "by torch.compile, aot_eager"}
    assert asked("layer_norm", f"{CODE}:norm", "exported-program").notes == {"exported": "by torch.export"}


def test_nothing_is_asked_that_is_not_demanded() -> None:
    (claim,) = claims([("layer_norm", "torch.nn:LayerNorm")], {})
    some = {check.name for check in checks_of(claim, CHECKS, Settings("deep"))}
    (other,) = claims([("layer_norm", "torch.nn:LayerNorm")], {"translated": "compiled,exported"})
    more = {check.name for check in checks_of(other, CHECKS, Settings("smoke"))} | {
        check.name for check in checks_of(other, CHECKS, Settings("deep"))
    }

    assert more - some == {"compiled-code", "compiled-batches", "exported-program"}


def test_another_kind_of_code_has_no_such_program() -> None:
    (claim,) = claims([("recurrent_batch_norm", "mine:Net")], {"translated": "compiled"})

    assert claim.error == "translated=compiled: programs made of a recurrent_batch_norm are not checked yet"
    with pytest.raises(UsageError, match="translated=compiled: no such program can be made of code of this kind"):
        normcheck.check("torch.nn.utils.parametrizations:weight_norm", "weight_norm", {"translated": "compiled"})
    with pytest.raises(UsageError, match="unknown program 'compile'; did you mean 'compiled'"):
        normcheck.check("torch.nn:LayerNorm", "layer_norm", {"translated": "compile"})


@pytest.mark.skipif(find_spec("onnxscript") is not None, reason="what is missing is not missing here")
def test_without_onnx_one_sentence_says_what_to_install(pytester: pytest.Pytester) -> None:
    found = pytester.runpytest("--norm", "layer_norm=torch.nn:LayerNorm", "--norm-translated", "onnx", "-k", "call")

    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stdout.fnmatch_lines(["*translated=onnx needs onnx, onnxruntime, onnxscript: pip install*onnx-export*"])


def test_every_program_has_a_call() -> None:
    assert set(translations.CALLS) == set(normcheck.core.contract.TRANSLATIONS)
    assert {check.translation for check in CHECKS} == {"", *translations.CALLS}


def test_state_is_as_before_after_the_calls_that_only_compile() -> None:
    module = torch.nn.BatchNorm1d(3)
    layer = compiled.PreparedLayer("batch norm", (torch.randn(4, 3), None, None), module, module=module)
    with compiled.kept_state(layer):
        module(torch.randn(4, 3))

    assert module.running_mean is not None
    assert torch.equal(module.running_mean, torch.zeros(3))
    assert int(module.num_batches_tracked) == 0  # type: ignore[arg-type]  # a buffer is a tensor
