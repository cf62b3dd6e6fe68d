"""The end of a run in the terminal: what one screen shows, at two widths, with colors and without."""

from __future__ import annotations

import copy
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pseudo_terminal import in_terminal

from normcheck.report.terminal import implementation as terminal
from normcheck.report.terminal.run_summary import summary

FINDING = {
    "check": "value", "law": "|y - exact y| <= bound(width, conditioning, format)", "observed": 2.275e-10,
    "allowed": 6.268e-12, "where": [3, 0],
    "case": {"shape": [6, 2], "format": "float64", "eps": 1e-05, "weight": True, "bias": True, "seed": 0},
    "detail": "", "likely": "", "remedy": "variance=unbiased", "source": "", "cause": "variance-unbiased",
    "replay": "pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-replay value/n=2", "script": [],
}  # fmt: skip
CAUSE = {
    "name": "variance-unbiased", "story": "Normalizes with the variance that divides by n - 1.",
    "source": "pytorch/pytorch#1", "checks": ["conventions"], "declare": "variance=unbiased", "finding": FINDING,
}  # fmt: skip
WARNING = {"name": "accuracy=half:float16", "text": "statistics are kept in half", "declare": "accuracy=half"}
ROW = dict.fromkeys(
    ("weight_matrix_rescaling", "weight_matrix_recentering", "dataset_rescaling", "case_rescaling"), "invariant"
) | dict.fromkeys(("weight_vector_rescaling", "dataset_recentering"), "not invariant")


def record(target: str, **other: Any) -> dict[str, Any]:
    """The record of one layer norm, which has passed unless other fields say otherwise."""
    return {
        "kind": "layer_norm", "target": target, "verdict": "passed", "row": ROW, "extended": {}, "expected": ROW,
        "expected_extended": {}, "printed": [], "gradient": "full", "gradient_shares": {}, "diagnosis": [],
        "findings": [], "causes": [], "warnings": [], "formats": {}, "contract": {}, "accuracy": {}, "invariances": {},
        "tightest": None, "checks": {"passed": 84, "failed": 0, "skipped": 7}, "compared": 1000, "seconds": 4.1,
        "speed": [], "growth": [], "information": {}, "not_checked": {"compiled": "asked with --norm-effort deep"},
        "expected_findings": {}, "errors": [], "missing": {}, "deselected": 0,
    } | other  # fmt: skip


def run_of_three() -> dict[str, Any]:
    """One is right with a warning, one is wrong, one has another row of Table 1 by a cause with a long name."""
    wrong = {"verdict": "failed", "checks": {"passed": 83, "failed": 1, "skipped": 7}}
    long = copy.deepcopy(CAUSE) | {"name": "one-pass-variance-clamped", "declare": "", "checks": ["value", "moments"]}
    return {
        "settings": {"effort": "quick", "seed": None},
        "implementations": [
            record("mypkg.kernels.plain:layer_norm", warnings=[WARNING]),
            record("mypkg.kernels.fused:layer_norm", causes=[CAUSE], findings=[FINDING], **wrong),
            record(
                "mypkg.b:f", causes=[long], findings=[FINDING | {"cause": long["name"]}],
                row=ROW | {"case_rescaling": "not invariant"}, **wrong,
            ),
        ],
    }  # fmt: skip


AT_80 = """\
implementation             verdict  causes              warnings  Table 1   time
layer_norm =               passed                              1  agrees   4.1 s
mypkg.kernels.plain:layer
_norm
layer_norm =               failed   variance-unbiased             agrees   4.1 s
mypkg.kernels.fused:layer
_norm
layer_norm = mypkg.b:f     failed   one-pass-variance-            differs  4.1 s
                                    clamped
layer_norm = mypkg.kernels.fused:layer_norm: failed: 1 cause, 1 law
  cause       variance-unbiased: Normalizes with the variance that divides by n
              - 1. In float64 6x2: found 2.275e-10 at [3, 0], 36.3 times what is
              allowed.
  replay      pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-replay value/n=2
  if meant    pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-contract variance=unbiased
layer_norm = mypkg.b:f: failed: 1 cause, 2 laws
  cause       one-pass-variance-clamped: Normalizes with the variance that
              divides by n - 1. In float64 6x2: found 2.275e-10 at [3, 0], 36.3
              times what is allowed. Broken: value, moments.
  replay      pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-replay value/n=2
  warning     layer_norm: accuracy=half:float16: statistics are kept in half. If
              this is meant, declare accuracy=half
Table 1 of the layer-norm paper, as measured: does the output stay the same?
*d re-scales and +v re-centers: the weights W, one unit's, all data, one case.
Beyond: does it fold into W; does an output read only its own case, own past?
                                    W    W    unit data data case fold own  own
                                    *d   +v   *d   *d   +v   *d   in W case past
layer_norm (derived)                yes  yes  no   yes  no   yes
  mypkg.b:f                         yes  yes  no   yes  no   no!
  totals      1 of 3 passed; checks: 250 passed, 2 failed, 21 skipped; 3,000
              numbers in 12.3 s; 3 items not checked, -v shows all
Cases asked: --norm-effort quick, the same cases in every run."""

AT_120 = """\
implementation                               verdict  causes                     warnings  Table 1   time
layer_norm = mypkg.kernels.plain:layer_norm  passed                                     1  agrees   4.1 s
layer_norm = mypkg.kernels.fused:layer_norm  failed   variance-unbiased                    agrees   4.1 s
layer_norm = mypkg.b:f                       failed   one-pass-variance-clamped            differs  4.1 s
layer_norm = mypkg.kernels.fused:layer_norm: failed: 1 cause, 1 law
  cause       variance-unbiased: Normalizes with the variance that divides by n - 1. In float64 6x2: found 2.275e-10 at
              [3, 0], 36.3 times what is allowed.
  replay      pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-replay value/n=2
  if meant    pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-contract variance=unbiased
layer_norm = mypkg.b:f: failed: 1 cause, 2 laws
  cause       one-pass-variance-clamped: Normalizes with the variance that divides by n - 1. In float64 6x2: found
              2.275e-10 at [3, 0], 36.3 times what is allowed. Broken: value, moments.
  replay      pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-replay value/n=2
  warning     layer_norm: accuracy=half:float16: statistics are kept in half. If this is meant, declare accuracy=half
Table 1 of the layer-norm paper, as measured: does the output stay the same?
*d re-scales and +v re-centers: the weights W, one unit's, all data, one case.
Beyond: does it fold into W; does an output read only its own case, own past?
                                                            W    W    unit data data case fold own  own
                                                            *d   +v   *d   *d   +v   *d   in W case past
layer_norm (derived)                                        yes  yes  no   yes  no   yes
  mypkg.b:f                                                 yes  yes  no   yes  no   no!
  totals      1 of 3 passed; checks: 250 passed, 2 failed, 21 skipped; 3,000 numbers in 12.3 s; 3 items not checked, -v
              shows all
Cases asked: --norm-effort quick, the same cases in every run."""
"""Snapshots: what the run prints, read and found right."""


def run_of_one(**more: Any) -> dict[str, Any]:
    """One that is wrong by one cause, with all that a last screen has to say."""
    accuracy = {
        f"{name} {format}": {"class": "half" if format.endswith("16") else "sound", "share": 0.0312}
        for name in ("forward", "backward", "parameters") for format in ("float64", "float32", "bfloat16", "float16")
    }  # fmt: skip
    reasons = dict.fromkeys((f"check-{n}" for n in range(13)), "asked with --norm-effort default")
    one = record(
        "mypkg.kernels.fused:layer_norm", verdict="failed", causes=[CAUSE], findings=[FINDING], warnings=[WARNING],
        checks={"passed": 70, "failed": 1, "skipped": 20}, accuracy=accuracy, gradient_shares={"full": 0.1},
        formats={"float64": "failed", "bfloat16": "right"}, tightest={"check": "value", "share": 0.0312},
        not_checked=reasons | {"compiled": "asked with --norm-effort deep", "copies": "is no module"},
        **{"information": {"calls": "aten::native_layer_norm"}} | more,
    )  # fmt: skip
    return {"settings": {"effort": "quick", "seed": None}, "implementations": [one]}


ONE_AT_80 = """\
layer_norm = mypkg.kernels.fused:layer_norm: failed: 1 cause, 1 law, 1 warning
  cause       variance-unbiased: Normalizes with the variance that divides by n
              - 1. In float64 6x2: found 2.275e-10 at [3, 0], 36.3 times what is
              allowed.
  explain     normcheck explain variance-unbiased
  replay      pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-replay value/n=2
  if meant    pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-contract variance=unbiased
  formats     float64: failed; bfloat16: right
  warning     accuracy=half:float16; -v tells more
  accuracy    forward, backward, parameters: half in bfloat16, float16; the rest
              sound
  checks      70 passed, 1 failed, 20 skipped; 1,000 numbers in 4.1 s
  not checked 15: 13 (asked with --norm-effort default), 2 others; -v names all
Table 1 of the layer-norm paper,    W    W    unit data data case fold own  own
as measured (-v explains it)        *d   +v   *d   *d   +v   *d   in W case past
layer_norm (derived)                yes  yes  no   yes  no   yes
  mypkg.kernels.fused:layer_norm    yes  yes  no   yes  no   yes
Cases asked: --norm-effort quick, the same cases in every run."""

ONE_AT_120 = """\
layer_norm = mypkg.kernels.fused:layer_norm: failed: 1 cause, 1 law, 1 warning
  cause       variance-unbiased: Normalizes with the variance that divides by n - 1. In float64 6x2: found 2.275e-10 at
              [3, 0], 36.3 times what is allowed.
  explain     normcheck explain variance-unbiased
  replay      pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-replay value/n=2
  if meant    pytest --norm layer_norm=mypkg.kernels.fused:layer_norm --norm-contract variance=unbiased
  formats     float64: failed; bfloat16: right
  warning     accuracy=half:float16; -v tells more
  accuracy    forward, backward, parameters: half in bfloat16, float16; the rest sound
  checks      70 passed, 1 failed, 20 skipped; 1,000 numbers in 4.1 s
  not checked 15: 13 (asked with --norm-effort default), 2 others; -v names all
Table 1 of the layer-norm paper,                            W    W    unit data data case fold own  own
as measured (-v explains it)                                *d   +v   *d   *d   +v   *d   in W case past
layer_norm (derived)                                        yes  yes  no   yes  no   yes
  mypkg.kernels.fused:layer_norm                            yes  yes  no   yes  no   yes
Cases asked: --norm-effort quick, the same cases in every run."""


def lines(run: Mapping[str, Any], width: int, **options: bool) -> list[str]:
    return [text for text, _ in summary(run, width, **options)]


@pytest.mark.parametrize(("width", "shown"), [(80, AT_80), (120, AT_120)])
def test_a_run_of_several(width: int, shown: str) -> None:
    assert "\n".join(lines(run_of_three(), width)) == shown


@pytest.mark.parametrize(("width", "shown"), [(80, ONE_AT_80), (120, ONE_AT_120)])
def test_a_run_of_one(width: int, shown: str) -> None:
    assert "\n".join(lines(run_of_one(), width)) == shown


def test_one_with_one_cause_fits_on_a_screen() -> None:
    """24 rows of 80 columns, with the heading, and with what pytest prints below it."""
    rows = sum(math.ceil(len(line) / 80) for line in lines(run_of_one(), 80))
    assert rows + len(("normcheck", "short test summary info", "FAILED", "1 failed")) <= 24


def test_the_screen_of_a_real_run_has_24_rows() -> None:
    """From the heading to the last line of pytest, at 80 columns."""
    claim = f"layer_norm={Path(__file__).parent / 'user_code' / 'fused.py'}:fast_layer_norm"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--norm", claim, "--norm-effort", "quick", "-q", "-p", "no:cacheprovider",
         "-o", "addopts=", "-k", "test_accuracy or test_invariance or test_gradient or test_laws"],
        capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    heading, *shown = done.stdout.partition("= normcheck =")[2].splitlines()
    assert set(heading) == {"="}
    assert "1 cause" in shown[0]
    assert 10 < 1 + sum(math.ceil(len(line) / 80) for line in shown) <= 24


def test_v_tells_what_the_screen_of_one_leaves_out() -> None:
    brief, full = ("\n".join(lines(run_of_one(), 80, full=one)) for one in (False, True))
    for text in ("statistics are kept in half", "bfloat16 0.031 (half)", "aten::native_layer_norm", "copies (is no"):
        assert text in full
        assert text not in brief


def test_input_shapes_are_always_told() -> None:
    said = {"input-shapes": "64x768 is asked as 42x768"}
    run = run_of_one(contract={"input-shapes": "64x768"}, input_shapes={"42x768": 41}, information=said)
    assert "  shapes      42x768 in 41 checks" in lines(run, 80)
    assert "  information input-shapes: 64x768 is asked as 42x768" in lines(run, 80)


def test_one_alone_is_told_as_a_verdict_is() -> None:
    run = run_of_three()
    (one,) = run["implementations"][1:2]
    block = [text for text, _ in terminal.implementation(one, 80)]

    assert lines({**run, "implementations": [one]}, 80)[: len(block)] == block
    alone = {**run, "implementations": run["implementations"][:1]}
    assert lines(run, 80, full=True)[:3] == lines(alone, 80, full=True)[:3]
    assert "  not checked compiled (asked with --norm-effort deep)" in block


def test_a_command_is_one_line_that_can_be_copied() -> None:
    told = lines(run_of_three(), 80)

    assert f"  replay      {FINDING['replay']}" in told
    assert any(line.endswith("--norm-contract variance=unbiased") for line in told)


def test_names_that_look_alike_when_short_are_in_full() -> None:
    run = run_of_three()
    shown = "\n".join(lines(run, 80)[:7])
    assert "kernels.plain" in shown
    assert "kernels.fused" in shown

    run["implementations"].pop(1)
    assert lines(run, 80)[1].startswith("layer_norm = ...")


def test_only_names_that_look_alike_are_in_full() -> None:
    names = ("one.of_kernels:layer_norm", "two.of_kernels:layer_norm", "one.of_all_kernels:rms")
    told = lines({**run_of_three(), "implementations": [record(f"mypkg.{name}") for name in names]}, 80)
    shortened = [line for line in told if line.startswith("layer_norm = ...")]

    assert len(shortened) == 1
    assert ":rms " in shortened[0]
    full = [line.split()[0] for line in told if line.startswith("mypkg.")]
    assert full == [f"mypkg.{name}" for name in names[:2]]


def test_where_all_passes_table_1_is_shown_of_all() -> None:
    """A warning does not stand before what a run measures."""
    run = {**run_of_three(), "implementations": [record("a.b:f", warnings=[WARNING]), record("a.b:g")]}

    assert [line.split()[0] for line in lines(run, 80) if line.startswith("  a.b:")] == ["a.b:f", "a.b:g"]


def test_a_name_may_have_what_looks_like_markup() -> None:
    run = run_of_three()
    run["implementations"][2]["target"] = "m.py:f[bold]:smile:(a=[1])"

    assert "layer_norm = m.py:f[bold]:smile:(a=[1])  " in lines(run, 120)[3]


COLOR = "\x1b["


@pytest.mark.parametrize("color", [True, False])
def test_colors_change_nothing_else(color: bool) -> None:
    told = "\n".join(lines(run_of_three(), 80, color=color))

    assert (COLOR in told) == color
    assert [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", told).splitlines()] == AT_80.splitlines()


@pytest.mark.parametrize(
    ("environment", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str
)
def test_a_terminal_has_colors_unless_it_asks_for_none(
    environment: dict[str, str], colored: bool, tmp_path: Path
) -> None:
    both = [f"--norm={kind}=torch.nn.functional:{kind}" for kind in ("layer_norm", "rms_norm")]
    told = in_terminal(tmp_path, *both, "--norm-effort", "smoke", **environment)

    (line,) = [line for line in told.splitlines() if re.match(r"layer_norm = \S+ +(\x1b\[32m)?passed", line)]
    assert (COLOR in line) == colored


def test_a_run_of_one_loads_no_rich(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure():\n    print('rich.table' in sys.modules)\n"
    )
    words = ["--norm=layer_norm=torch.nn.functional:layer_norm", "--norm-effort", "smoke", "-k", "value"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words], cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip

    assert done.stdout.splitlines()[-1] == "False", done.stdout
