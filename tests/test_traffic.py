"""What must be moved, counted by hand for cases of known size."""

from __future__ import annotations

import pytest

from normcheck import families
from normcheck.bench.traffic import PASSES, Traffic, traffic
from normcheck.core.contract import GRADIENTS
from normcheck.normalizers import catalog
from normcheck.normalizers.case import Case
from normcheck.normalizers.sampling.recipes import Draw, state, values

N = 32 * 768


def ordinary(kind: str, **choices: object) -> Case:
    return values(families.get(kind), Draw(n=768, sets=32, format="float32", **choices))


def moved(found: Traffic) -> dict[str, int]:
    return {f"{'write' if m.written else 'read'} {m.name}{' again' if m.reread else ''}": m.bytes for m in found.moves}


def test_layer_norm_reads_and_writes_once() -> None:
    found = traffic(catalog.layer_norm, ordinary("layer_norm"), "forward")

    assert moved(found) == {"read x": 4 * N, "read weight": 4 * 768, "read bias": 4 * 768, "write y": 4 * N}
    assert found.flops == 7 * N


def test_its_backward_reads_two_and_writes_one() -> None:
    found = traffic(catalog.layer_norm, ordinary("layer_norm"), "backward")

    assert found.read == 2 * 4 * N + 4 * 768
    assert found.written == 4 * N + 2 * 4 * 768


def test_both_passes_move_what_each_does() -> None:
    case = ordinary("layer_norm")
    forward, backward, both = (traffic(catalog.layer_norm, case, part) for part in PASSES)

    assert both.bytes == forward.bytes + backward.bytes
    assert both.flops == forward.flops + backward.flops
    assert both.working_set < forward.working_set + backward.working_set  # x is one tensor, read twice


def test_a_normalizer_without_bias_and_mean_does_less() -> None:
    layer, rms = (traffic(families.get(k), ordinary(k), "forward") for k in ("layer_norm", "rms_norm"))

    assert layer.bytes - rms.bytes == 4 * 768
    assert rms.flops == 4 * N


def test_half_as_wide_numbers_move_half_the_bytes() -> None:
    wide = traffic(catalog.layer_norm, ordinary("layer_norm"), "both")
    narrow = traffic(catalog.layer_norm, values(catalog.layer_norm, Draw(n=768, sets=32, format="bfloat16")), "both")

    assert 2 * narrow.bytes == wide.bytes


def test_given_statistics_need_no_second_pass() -> None:
    """In evaluation the running statistics are read and not written, and x is never read again."""
    normalizer = catalog.batch_norm
    draw = Draw(n=768, sets=32, format="float32")
    training, evaluation = (state(normalizer, draw, training=mode) for mode in (True, False))
    learned = moved(traffic(normalizer, training, "forward", fast=0))
    used = moved(traffic(normalizer, evaluation, "forward", fast=0))

    assert learned["write running statistics"] == used["read running statistics"] == 4 * 2 * 32
    assert "write running statistics" not in used
    assert learned["read x again"] == learned["read x"]
    assert "read x again" not in used


def test_a_set_beyond_fast_memory_is_read_again() -> None:
    """Of each set, what does not fit: 768 numbers of 4 bytes, 1024 bytes of fast memory."""
    found = traffic(catalog.layer_norm, ordinary("layer_norm"), "forward", fast=1024)

    assert moved(found)["read x again"] == 32 * (4 * 768 - 1024)
    assert found.working_set == traffic(catalog.layer_norm, ordinary("layer_norm"), "forward").working_set


def test_a_set_that_fits_is_read_once() -> None:
    case = ordinary("layer_norm")

    assert traffic(catalog.layer_norm, case, "both", fast=2 * 4 * 768) == traffic(catalog.layer_norm, case, "both")


def test_constant_statistics_without_a_weight_need_no_input() -> None:
    """dx = dy / s: the input is not read, one number for each set is."""
    found = traffic(
        catalog.layer_norm, ordinary("layer_norm", affine="none"), "backward", GRADIENTS["statistics-constant"]
    )

    assert moved(found) == {"read dy": 4 * N, "read statistics": 4 * 32, "write dx": 4 * N}


def test_the_norm_of_a_weight_moves_weights_and_lengths() -> None:
    normalizer = catalog.weight_norm
    case = ordinary("weight_norm")
    g = case.weight
    assert g is not None

    assert traffic(normalizer, case, "forward").bytes == 4 * (2 * case.x.size + g.size)
    assert traffic(normalizer, case, "backward").bytes == 4 * (3 * case.x.size + 2 * g.size)


@pytest.mark.parametrize("part", PASSES)
@pytest.mark.parametrize("kind", catalog.ALL)
def test_every_kind_is_bound_by_memory(kind: str, part: str) -> None:
    """About one operation per byte: far below the tens that a machine can do while it moves one."""
    case = values(families.get(kind), Draw(n=64, sets=6, rank=3, format="float32"))
    found = traffic(families.get(kind), case, part)

    assert 0.1 < found.intensity < 2.0
    assert found.bytes == found.read + found.written
