"""Forms: code that adds, gates, masks or modulates is checked as the plain normalizer, and for what it adds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sweeps import sweep

import normcheck
from normcheck.core.ask import draws, run_check
from normcheck.core.claim import Implementation
from normcheck.core.contract import CHOICES, Contract, contract
from normcheck.core.errors import CallError, UsageError
from normcheck.core.floats import FORMATS
from normcheck.core.replay import decode
from normcheck.families import CHECKS_BY_NAME, get
from normcheck.frameworks.binder import subject
from normcheck.frameworks.forms.names import form_of
from normcheck.frameworks.forms.plain import SPECS
from normcheck.normalizers import faults, forms, packing, padding, rotary
from normcheck.normalizers.activations import AFTER
from normcheck.normalizers.faults import activated, branch, packed, qk, quantized
from normcheck.normalizers.faults import forms as form_faults
from normcheck.normalizers.faults import rotary as rotary_faults
from normcheck.normalizers.quantization import OF_SCALES, QUANTIZED, needed, row_scales
from normcheck.normalizers.reference import forms as reference
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.recipes import Draw, values

CODE = Path(__file__).parent / "user_code" / "forms"
RIGHT = json.loads((CODE / "pieces.json").read_text())
WRONG = [one for one in json.loads((CODE.parent / "wrong.json").read_text()) if "/forms/" in one["target"]]
COMPOSED = json.loads((CODE / "composed.json").read_text())


def declared(form: str, *more: str) -> dict[str, str]:
    return {"form": form, **dict(one.split("=") for one in more)}


@sweep("piece", RIGHT, group=lambda piece: piece[2].partition("+")[0], ids=lambda piece: piece[1])
def test_right_code_passes(piece: list[str]) -> None:
    """Right code of each form, and of two at once, passes; in half precision plain code may be warned of."""
    kind, name, form, *more = piece
    target = f"{CODE}/{name if ':' in name else f'right.py:{name}'}"
    verdict = normcheck.check(target, as_=kind, effort="quick", contract=declared(form, *more))

    assert verdict.ok, str(verdict)
    allowed = {"accuracy=half:float16", "accuracy=half:bfloat16", "single-value", "float64-in-float32", "empty"}
    assert {warning["name"] for warning in verdict.warnings} <= allowed


@sweep(
    "one",
    WRONG,
    of=4,
    group=lambda one: one["contract"]["form"].partition("+")[0],
    ids=lambda one: one["target"].rpartition(":")[2],
)
def test_wrong_code_fails_for_one_cause(one: dict[str, Any]) -> None:
    verdict = normcheck.check(
        f"{CODE.parent.parent.parent}/{one['target']}", as_=one["kind"], effort="quick", contract=one["contract"]
    )

    assert not verdict.ok
    assert [cause["name"] for cause in verdict.causes] == [one["fault"]]


@pytest.mark.parametrize(
    ("kind", "name"), [("rms_norm", "KeysWithWeightOfQueries"), ("layer_norm", "KeysWithBiasOfQueries")]
)
def test_keys_of_a_layer_have_parameters_of_their_own(kind: str, name: str) -> None:
    """A layer's parameters of keys get the values of a case when keys are checked."""
    assert not normcheck.check(f"{CODE}/qk.py:{name}", as_=kind, effort="quick", contract={"form": "qk"}).ok


def test_every_form_has_its_parts() -> None:
    """Names in contracts, specifications and laws agree; every further way to call has a fault that it alone shows."""
    assert set(CHOICES["form"]) == {forms.PLAIN, *forms.USES} == {forms.PLAIN, *SPECS}
    for form, specs in SPECS.items():
        for spec in specs:
            assert set(spec.calls) == {forms.PLAIN, *forms.USES[form]}
    some = (form_faults, activated, quantized, qk, branch, packed, rotary_faults)
    with_faults = {form for file in some for fault in file.FAULTS for form in fault.under.form.split("+")}
    of_others = {forms.LENGTHS, forms.INTERLEAVED}  # they have those of masks, and of other pairs
    assert with_faults >= {form for form, uses in forms.USES.items() if uses} - of_others


@pytest.mark.parametrize("format", FORMATS.values(), ids=str)
def test_what_is_given_changes_no_bit(format: Any) -> None:
    """The parts of x add up to it, and open gates scale by a power of two, in every format and at any size."""
    rng = np.random.default_rng(3)
    x = format.round(rng.standard_normal(400) * 2.0 ** rng.integers(-10, 10, 400))
    part = format.round(x * forms.in_turn(forms.SHARES, x.shape))
    gate = forms.open_gate(format.name)
    opened = torch.nn.functional.silu(torch.tensor(gate, dtype=getattr(torch, format.name)))

    assert np.array_equal(format.round(x - part) + part, x)
    assert float(opened) == gate
    assert np.log2(gate) % 1 == 0


@pytest.mark.parametrize("use", [use for uses in forms.USES.values() for use in uses if use not in OF_SCALES])
def test_reference_of_each_way(use: str) -> None:
    """Output and gradient of each way to call are those that torch computes for composed code in float64."""
    normalizer = get("rms_norm")
    case = values(normalizer, Draw(seed=5, n=6, sets=4, affine="weight", format="float64"))
    truth = evaluate(normalizer, case, contract({}))
    x = torch.tensor(case.x, requires_grad=True)
    weight = torch.tensor(case.weight)
    norm = lambda value: F.rms_norm(value, (6,), weight, case.eps)
    held = x.detach()
    gate = torch.tensor(forms.in_turn(forms.GATES, case.x.shape)) + (x - held)
    opened = 64.0 + (x - held)
    of_bias = torch.tensor(forms.biased(case.x.shape)[0])
    rest = (held[0] * (1.0 - of_bias)).expand(x.shape)
    tables = [torch.tensor(table) for table in rotary.tables(len(x), 6, case.format)]
    by_halves, by_neighbors = (partial(turned, tables=tables, neighbors=one) for one in (False, True))
    composed = {
        forms.OTHER: lambda: x + 0.75 * held,
        forms.BY_RESIDUAL: lambda: norm(0.5 * held + (x - 0.5 * held)),
        forms.OF_BOTH: lambda: norm(x) + x,
        forms.BY_GATE: lambda: norm(held) * F.silu(gate),
        forms.BY_GATE_FIRST: lambda: norm(held / 64.0 * F.silu(opened)),
        forms.BY_PADDING: lambda: norm(held) + 0.0 * x,
        forms.BESIDE_PADDING: lambda: norm(x),
        forms.BESIDE_EMPTY: lambda: norm(x),
        forms.BY_KEY: lambda: norm(x),
        forms.BY_BRANCH_BIAS: lambda: norm(rest + x[0] * of_bias),
        forms.WITH_BRANCH_BIAS: lambda: rest + x[0] * of_bias + 0.75 * rest,
        rotary.ROTATED["rotary"]: lambda: by_halves(norm(x)),
        rotary.ROTATED_KEYS["rotary"]: lambda: by_halves(norm(x)),
        rotary.ROTATED["rotary-interleaved"]: lambda: by_neighbors(norm(x)),
        rotary.ROTATED_KEYS["rotary-interleaved"]: lambda: by_neighbors(norm(x)),
        AFTER["relu"]: lambda: F.relu(norm(x)),
        AFTER["gelu"]: lambda: F.gelu(norm(x)),
        AFTER["gelu-tanh"]: lambda: F.gelu(norm(x), approximate="tanh"),
        AFTER["silu"]: lambda: F.silu(norm(x)),
    }
    y = composed[use]()
    (dx,) = torch.autograd.grad(y, x, torch.tensor(case.dy))

    assert np.allclose(y.detach(), reference.output(use, truth.y, case), rtol=1e-12, atol=1e-12)
    plain = evaluate(normalizer, reference.pulled(use, truth.y, case), contract({}))
    assert np.allclose(dx, reference.input_gradient(use, truth.y, plain.dx, case), rtol=1e-9, atol=1e-9)


def turned(y: Any, *, tables: list[Any], neighbors: bool) -> Any:
    """A rotation by multiplication of complex numbers."""
    first, second = (y[..., ::2], y[..., 1::2]) if neighbors else y.chunk(2, dim=-1)
    found = torch.complex(first, second) * torch.complex(*tables)
    parts = (found.real, found.imag)
    return torch.stack(parts, -1).flatten(-2) if neighbors else torch.cat(parts, -1)


@pytest.mark.parametrize("neighbors", [False, True])
@pytest.mark.parametrize("width", [2, 7, 8])
def test_rotations(width: int, neighbors: bool) -> None:
    """The second map is the transpose of the first, each token has its angle, and an odd entry stays."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((2, 3, 5, width))
    turn = rotary.of_tables(*rotary.tables(3, width, FORMATS["float64"]), neighbors=neighbors)

    assert np.allclose((turn(x) * y).sum(), (x * turn.back(y)).sum(), rtol=1e-13)
    factor = np.ones((3, 1, width))  # cosines and sines are rounded, so their squares do not add up to 1
    factor[:, 0, : width // 2 * 2] = turn.cos**2 + turn.sin**2
    assert np.allclose(turn.back(turn(x)), factor * x, rtol=1e-13)
    assert np.allclose(factor, 1.0, rtol=2.0**-22)
    assert np.allclose(turn.cos[2, 0], np.cos(3.0), rtol=2.0**-23)
    alike = turn(np.stack((x[0], x[0], x[0])))
    assert not np.allclose(alike[0], alike[1])
    assert (np.abs(turn(x)) <= turn.sizes(x) + 1e-15).all()
    assert width % 2 == 0 or np.array_equal(turn(x)[..., -1], x[..., -1])


def test_odd_widths_say_nothing_of_the_code() -> None:
    """Pairs of an odd width do not exist: that is no finding and no warning, whatever the effort asks."""
    claim = Implementation("rms_norm", f"{CODE}/rotary.py:qk_norm_rope", {"form": "qk+rotary"})
    found = subject(claim, get("rms_norm"))
    check = CHECKS_BY_NAME["value"]
    outcome = run_check(found, check, [replace(check.space.plain, n=7)])

    assert outcome.finding is None
    assert outcome.compared == 0
    assert any("width is odd" in reason for reason in outcome.absent.values())


def norm_of(name: str, kind: str = "rms_norm", **keys: str) -> str:
    with pytest.raises(UsageError) as raised:
        subject(Implementation(kind, f"{CODE}/right.py:{name}", keys), get(kind))
    return str(raised.value)


def test_bad_forms() -> None:
    """What cannot be checked in a form is refused in one sentence with the remedy."""
    assert "name that parameter as one of gate, z" in norm_of("add_rms_norm", form="gate")
    assert "unknown" not in norm_of("add_rms_norm", form="add+add")
    assert "each once, joined by +" in norm_of("add_rms_norm", form="add+add")
    assert "did you mean 'gate'?" in norm_of("add_rms_norm", form="gat")
    assert "axis=1" in norm_of("add_rms_norm", form="channels-last")
    assert "statistics of its own" in norm_of("MaskedBatchNorm", "batch_norm", form="modulated")
    assert "takes no branch bias: name that parameter as one of branch" in norm_of("gate_first", form="branch-bias")
    assert "takes no dropout: name that parameter as one of dropout_p" in norm_of("gate_first", form="dropout")
    assert "one for each entry of the last axis" in norm_of("MaskedBatchNorm", "batch_norm", form="branch-bias")
    assert "takes no cos: name that parameter as one of cos" in norm_of("gate_first", form="rotary")
    assert "neighbors or not" in norm_of("gate_first", form="rotary+rotary-interleaved")
    assert "takes no cu_seqlens: name that parameter as one of cu_seqlens" in norm_of("gate_first", form="packed")
    assert "not checked yet" in _numpy()


def _numpy() -> str:
    def forward(x: Any, residual: Any, eps: float = 1e-5) -> Any:
        total = x + residual
        return total / np.sqrt((total * total).mean(-1, keepdims=True) + eps)

    with pytest.raises(UsageError) as raised:
        subject(Implementation("rms_norm", (forward, lambda dy, cache: dy), {"form": "add"}), get("rms_norm"))
    return str(raised.value)


def test_a_parameter_of_a_form_is_recognized() -> None:
    """Without a declaration the sentence says which form to declare."""
    assert form_of("residual") == forms.ADD
    assert "declare form=add to check it with its residual; " in norm_of("add_rms_norm")
    assert "declare form=mask to check it with its mask; " in norm_of("MaskedBatchNorm", "batch_norm")


def test_the_form_is_part_of_a_replay() -> None:
    verdict = normcheck.check(
        f"{CODE}/wrong.py:new_residual_is_the_old_one", as_="rms_norm", effort="quick", contract={"form": "add"}
    )

    (cause,) = verdict.causes
    assert "--norm-contract form=add" in cause["finding"]["replay"]
    assert cause["finding"]["law"] == "the new residual is input + residual, rounded once"
    assert set(verdict.formats.values()) == {"failed"}  # each is tried on the case of the finding


def liar(new_residual: Any) -> Any:
    def add_norm(x: Any, residual: Any, weight: Any, eps: float = 1e-6) -> Any:
        total = x + residual
        return F.rms_norm(total, (total.shape[-1],), weight, eps), new_residual(total)

    return add_norm


@pytest.mark.parametrize(
    "new_residual",
    [torch.zeros_like, lambda total: total * float("nan"), lambda total: 2.0 * total, lambda total: total + 1e-3],
    ids=["zeros", "nan", "twice", "off"],
)
def test_another_new_residual_has_no_name_of_a_fault(new_residual: Any) -> None:
    """A wrong second output fails, whatever it is, and is no known fault unless it has that fault's values."""
    verdict = normcheck.check(liar(new_residual), as_="rms_norm", effort="quick", contract={"form": "add"})

    assert not verdict.ok
    names = [cause["name"] for cause in verdict.causes]
    assert names[0] == "unexplained"
    assert set(names[1:]) <= {"new-residual-without-gradient"}  # zeros have none


def test_a_single_output_is_said() -> None:
    """Code that adds and returns its output alone is checked as far as it goes."""
    found = subject(Implementation("layer_norm", f"{CODE}/right.py:PostNorm", {"form": "add"}), get("layer_norm"))

    assert found.domain.absent[forms.OTHER] == found.domain.absent[forms.OF_BOTH] == forms.ALONE
    assert forms.BY_RESIDUAL in found.domain.uses


def test_no_form_no_further_calls() -> None:
    plain = faults.subject(get("rms_norm"))

    assert not set(forms.ways("add")) & set(plain.domain.uses)


def test_a_kink_is_not_compared() -> None:
    """Where ReLU cuts at 0 exactly, as for equal entries without a bias, no gradient is expected of the code."""
    found = subject(Implementation("layer_norm", relu_of_layer_norm, {"form": "relu"}), get("layer_norm"))
    case = values(get("layer_norm"), Draw(seed=2, n=4, sets=3, affine="weight", format="float64"))
    flat = case.but(x=np.ones_like(case.x))
    answer = found.call(flat, True)
    truth = evaluate(get("layer_norm"), flat, contract({}))

    assert np.array_equal(answer.y, np.zeros_like(case.x))
    assert answer.dx is not None
    assert np.allclose(answer.dx, truth.dx)


def relu_of_layer_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return F.relu(F.layer_norm(x, (x.shape[-1],), weight, bias, eps))


def test_an_activation_is_checked_alone() -> None:
    assert "adds nothing else" in norm_of("add_rms_norm", form="add+relu")


@pytest.mark.parametrize("name", ["truncated", "beyond_range"])
def test_another_quantizer_fails(name: str) -> None:
    """What rounds otherwise than to the nearest, or leaves the range, fails whatever it is called."""
    form = {"truncated": "int8", "beyond_range": "e4m3"}[name]
    verdict = normcheck.check(f"{CODE}/quantized.py:{name}", as_="rms_norm", effort="quick", contract={"form": form})

    assert not verdict.ok
    assert {law for cause in verdict.causes for law in cause["checks"]} == {"value"}


@pytest.mark.parametrize("name", [one for one in QUANTIZED if QUANTIZED[one].digits])
def test_half_steps_are_those_of_torch(name: str) -> None:
    """Between neighbors of a format lie two half steps, of the smaller one."""
    of = QUANTIZED[name]
    every = torch.arange(256).to(torch.uint8).view(getattr(torch, of.dtypes[0])).to(torch.float64).numpy()
    numbers = np.unique(np.abs(every[np.isfinite(every)]))

    assert numbers[-1] == of.largest
    assert np.array_equal(np.diff(numbers), 2.0 * of.half_step(numbers[:-1]))


def test_needed_scales() -> None:
    """A scale is needed for what shares it: the output, a row, or a block of a row."""
    of, y = QUANTIZED["int8"], np.array([[1.0, -2.0, 4.0, 0.0], [8.0, 0.5, 0.25, 0.0]])
    rows = row_scales(of, y)
    blocks = np.array([[2.0, 2.0, 4.0, 4.0], [8.0, 8.0, 0.25, 0.25]])

    assert np.array_equal(needed(of, y, np.ones(y.shape)), np.full(y.shape, 8.0 / 127.0))
    assert np.array_equal(needed(of, y, rows), rows)
    assert np.array_equal(needed(of, y, blocks), blocks / 127.0)


def test_what_is_not_quantized_is_refused() -> None:
    with pytest.raises(CallError, match="nothing in e4m3"):
        subject(Implementation("rms_norm", f"{CODE}/quantized.py:rms_norm_int8", {"form": "e4m3"}), get("rms_norm"))
    assert "one format" in norm_of("add_rms_norm", form="int8+e4m3")


@pytest.mark.parametrize("form", [form for form, uses in forms.USES.items() if uses])
def test_the_reference_follows_the_laws_of_every_form(form: str) -> None:
    """A right implementation, as the faults change it, passes the checks that carry the laws of forms."""
    kind = "instance_norm" if form in (forms.MASK, forms.LENGTHS, forms.PACKED) else "rms_norm"
    right = faults.subject(get(kind), None, Contract(form=form))
    for check in (CHECKS_BY_NAME["value"], CHECKS_BY_NAME["input-gradient"]):
        if not check.lacks(right):
            assert run_check(right, check, draws(right, check, 12, 3)).finding is None


@sweep("piece", COMPOSED, group=lambda piece: piece[2].partition("+")[0], ids=lambda piece: piece[1])
def test_composed_code(piece: list[str]) -> None:
    """Of code of several forms, what is right passes, and each fault is named first, whichever part it is of."""
    kind, name, form, fault = piece
    verdict = normcheck.check(f"{CODE}/composed.py:{name}", as_=kind, effort="quick", contract={"form": form})

    assert verdict.ok == (not fault), str(verdict)
    assert [cause["name"] for cause in verdict.causes][:1] == ([fault] if fault else [])
    if not fault:
        assert len(verdict.warnings) <= 1


ADAPTED = {"form": "modulated", "weight": "1+w"}
ALONE = {"form": "mask", "empty": "accepted"}

REPORTS = [
    ("mllm#670", "rms_norm", "add_rms_norm", {"form": "add"}, ""),
    ("mllm#670", "rms_norm", "old_residual_returned", {"form": "add"}, "new-residual-without-input"),
    ("sglang#28005", "rms_norm", "residual_in_place", {"form": "add"}, ""),
    ("sglang#28005", "rms_norm", "residual_in_the_input", {"form": "add"}, "new-residual-in-the-input"),
    ("pytorch#30414", "instance_norm", "masked_instance_norm", {"form": "mask"}, ""),
    ("pytorch#30414", "instance_norm", "padding_read", {"form": "mask"}, "padding-in-statistics"),
    ("mamba#547", "rms_norm", "gate_before_the_norm", {"form": "gate-first"}, ""),
    ("mamba#908", "rms_norm", "gate_after_the_norm", {"form": "gate"}, ""),
    ("mamba#908", "rms_norm", "gate_after_the_norm", {"form": "gate-first"}, "gate-after-the-norm"),
    ("mamba#547", "rms_norm", "gate_before_the_norm", {"form": "gate"}, "gate-before-the-norm"),
    ("vllm-omni#1537", "layer_norm", "each_case_is_modulated", ADAPTED, ""),
    ("vllm-omni#1537", "layer_norm", "first_case_modulates_all", ADAPTED, "first-case-modulates-all"),
    ("I-BERT#4", "rms_norm", "int8_rows", {"form": "int8"}, ""),
    ("I-BERT#4", "rms_norm", "float8_rows", {"form": "e4m3"}, ""),
    ("I-BERT#4", "rms_norm", "zero_row_by_zero", {"form": "e4m3"}, "zeros-divided-by-zero"),
    ("TransformerEngine#230", "rms_norm", "beyond_int8", {"form": "int8"}, "quantized-wraps"),
    ("ConvNeXt#112", "layer_norm", "LayerNormOfMaps", {"axis": "1"}, ""),
    ("ConvNeXt#112", "layer_norm", "LayerNormOfRows", {"axis": "1"}, "statistics-over-wrong-axis"),
    ("pytorch#86580", "layer_norm", "eps_of_float32", {"accuracy": "torch"}, ""),
    ("pytorch#86580", "layer_norm", "eps_lost_in_half", {"accuracy": "torch"}, "eps-in-half"),
    ("chainer#7104", "batch_renorm", "BatchRenorm", {}, ""),
    ("chainer#7104", "batch_renorm", "DifferentiatedRenorm", {}, "renorm-gradient-through-r-and-d"),
    ("pytorch#81985", "instance_norm", "masked_instance_norm", ALONE, ""),
    ("pytorch#81985", "instance_norm", "all_padding_is_nan", ALONE, "padding-alone-is-nan"),
]
"""Reports of code that needs a form, an axis or a kind of its own; the last entry is the cause, empty of right code."""


@sweep(("report", "kind", "name", "declarations", "cause"), REPORTS)
def test_public_reports(report: str, kind: str, name: str, declarations: dict[str, str], cause: str) -> None:
    """Code as public reports tell of it gets its verdict."""
    verdict = normcheck.check(f"{CODE}/reported.py:{name}", as_=kind, effort="quick", contract=declarations)

    assert [found["name"] for found in verdict.causes] == ([cause] if cause else []), str(verdict)
    assert verdict.ok == (not cause)


def test_a_case_of_padding_alone_is_a_warning() -> None:
    """No framework promises anything of it: what is not declared does not fail."""
    target = f"{CODE}/reported.py:all_padding_is_nan"
    found = normcheck.check(target, as_="instance_norm", effort="quick", contract={"form": "mask"})
    refused = normcheck.check(
        target, as_="instance_norm", effort="quick", contract={"form": "mask", "empty": "refused"}
    )

    assert found.ok
    assert [one["name"] for one in found.warnings].count("empty") == 1
    assert "empty" not in [one["name"] for one in refused.warnings]


@pytest.mark.parametrize(("form", "names"), [
    ("mask", ("mask_right", "mask_of_first", "mask_of_any", "mask_as_length")),
    ("lengths", ("length_right", "length_of_first", "length_longest", "length_sorted")),
])  # fmt: skip
def test_no_case_takes_the_place_of_another(form: str, names: tuple[str, ...]) -> None:
    """Where all cases were alike, the mask of the first case would do for all."""
    found = {
        name: normcheck.check(
            f"{CODE}/other_cases.py:{name}", as_="instance_norm", effort="smoke", contract={"form": form}
        ).ok
        for name in names
    }

    assert found == {name: name.endswith("right") for name in names}


@pytest.mark.parametrize("arranged", [padding.prefix, padding.scattered])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("cases", "length"), [(3, 4), (2, 2), (1, 3), (4, 1), (0, 3), (2, 0), (1, 1)])
def test_every_entry_is_there_once(
    arranged: Callable[..., padding.Arrangement], shared: bool, cases: int, length: int
) -> None:
    found = arranged(cases, length, shared=shared, companions=not shared)
    pool = np.arange(cases * 3 * length).reshape(cases, 3 * length)
    whole = pool[found.cases, found.places] if cases else pool
    right = whole[found.rows, found.at]

    assert np.array_equal(right, pool[:, :length])
    assert found.valid[found.rows, found.at].all()
    assert found.valid.sum() == cases * length or not shared
    assert len(np.unique(whole[: len(whole) if shared else 0])) == (2 * cases * length if shared else 0)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize(("shared", "companion"), [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize(("cases", "length"), [(3, 4), (2, 2), (1, 3), (4, 1), (0, 3), (2, 0), (1, 1)])
def test_every_token_is_packed_once(cases: int, length: int, shared: bool, companion: bool, empty: bool) -> None:
    """Sequences of cases with statistics of their own are those of the cases."""
    found = packing.packed(cases, length, shared=shared, companion=companion, empty=empty)
    ends, own = found.boundaries, np.arange(cases * length)

    assert np.array_equal(found.tokens[found.at], own)
    assert (ends[0], ends[-1]) == (0, len(found.tokens))
    assert np.array_equal(np.sort(found.tokens), np.arange(len(found.tokens)))
    assert empty == (0 in found.lengths) or not length
    if not shared and length:
        which = np.searchsorted(ends[1:], found.at, side="right").reshape(cases, length)
        assert (which == which[:, :1]).all()
        assert set(found.lengths[which[:, 0]]) <= {length}


@pytest.mark.parametrize("flipped", [False, True])
def test_one_sequence_is_told_from_another(flipped: bool) -> None:
    """Code that takes the lengths of sequences in another order is wrong, and right in theirs."""

    def by_lengths(x: Any, cu_seqlens: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        lengths = cu_seqlens.diff().tolist()
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        parts = []
        for part in wide.split(lengths[::-1] if flipped else lengths):
            centered = part - part.mean(0)
            parts.append(centered * torch.rsqrt(centered.square().mean(0) + eps))
        y = torch.cat(parts)
        y = y if weight is None else y * weight
        return (y if bias is None else y + bias).to(x.dtype)

    verdict = normcheck.check(by_lengths, as_="instance_norm", effort="smoke", contract={"form": "packed"})

    assert verdict.ok != flipped, str(verdict)


@pytest.mark.parametrize(("name", "form"), [("lost_in_float8", "e4m3"), ("lost_in_int8", "int8")])
def test_a_scale_so_large_that_nothing_is_left(name: str, form: str) -> None:
    """The step is the code's own: without a law of scales, zeros would be within half of it."""
    target = str(Path(__file__).parent / "user_code" / "forms" / f"quantized.py:{name}")
    found = normcheck.check(target, as_="rms_norm", effort="smoke", contract={"form": form})

    assert not found.ok
    assert any(cause["finding"]["law"].startswith("a scale covers the values") for cause in found.causes)


def test_sums_that_leave_the_range_of_a_format_are_no_finding_where_they_may_be_kept_in_it() -> None:
    """Sixty-four numbers of a thousand have a sum that float16 does not hold."""
    declarations = {"form": "add+mask", "accuracy": "half"}
    mine = subject(Implementation("instance_norm", f"{CODE}/right.py:add_masked", declarations), get("instance_norm"))
    check = CHECKS_BY_NAME["finite"]
    case = "finite/seed=46829/n=64/sets=8/rank=5/format=float16/offset=10.0/affine=none/scale=6"
    draw = decode(case, check.space.plain)[1]
    found, sound = (run_check(one, check, [draw]) for one in (mine, replace(mine, contract=Contract(form="add+mask"))))

    assert found.finding is None
    assert sound.finding is not None
