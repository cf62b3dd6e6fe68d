"""Rounding into each format, against torch's casts and numpy's, on random and on boundary values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from normcheck.core.floats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, FORMATS, Array, Format

DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ALL = list(FORMATS.values())
NAMES = list(FORMATS)
BELOW_64 = [f for f in ALL if f is not FLOAT64]


def by_torch(x: Array, format: Format) -> Array:
    out: Array = torch.tensor(x).to(DTYPES[format.name]).to(torch.float64).numpy()
    return out


def same_bits(a: Array, b: Array) -> bool:
    """Equal with the sign of zero; every NaN equals every other."""
    nan = np.isnan(a)
    equal = np.array_equal(nan, np.isnan(b)) and np.array_equal(a[~nan], b[~nan])
    return equal and np.array_equal(np.signbit(a[~nan]), np.signbit(b[~nan]))


def single(x: Array) -> Array:
    """The values in float32: torch casts float64 to the 16-bit formats by way of it, which rounds twice."""
    with np.errstate(over="ignore"):
        return x.astype(np.float32).astype(np.float64)


def boundary(format: Format) -> Array:
    """Values at which rounding may go wrong: ties, neighbors of ties, subnormals, overflow, zeros, no numbers."""
    ulp = 2.0 ** (1 - format.digits)
    tiny = 2.0 * format.floor
    normal = 2.0**format.smallest
    top_step = 2.0 ** (math.frexp(format.largest)[1] - format.digits)
    points = [0.0, 1.0, tiny, normal, normal - tiny, format.largest, np.inf]
    for k in range(1, 8):
        points += [1 + k * ulp / 2, 1 + k * ulp / 4, 1 - k * ulp / 4, k * tiny / 2, k * tiny / 4, normal + k * tiny / 2]
        points += [normal - k * tiny / 2, format.largest - k * top_step / 2, 2.0 - k * ulp / 2]
    if format is not FLOAT64:
        points += [format.largest + top_step * share for share in (0.25, 0.499, 0.5, 0.75, 1.0, 8.0)]
    positive = np.array(points)
    return np.concatenate([positive, -positive, [np.nan]])


@pytest.mark.parametrize("format", ALL, ids=NAMES)
def test_boundary_values_round_as_in_torch(format: Format) -> None:
    """Halfway cases, subnormals, overflow, zeros of both signs, infinities and NaN round as torch rounds them."""
    x = boundary(format)
    x = x if format in (FLOAT64, FLOAT32) else single(x)

    assert same_bits(by_torch(x, format), format.round(x))


@pytest.mark.parametrize("format", BELOW_64, ids=NAMES[1:])
def test_neighbors_of_ties_round_to_their_side(format: Format) -> None:
    """The float64 just above or below a tie goes to its own side: one rounding, not two by way of float32."""
    ulp = 2.0 ** (1 - format.digits)
    ties = 1.0 + ulp * (np.arange(16) + 0.5)
    down, up = 1.0 + ulp * np.arange(16), 1.0 + ulp * (np.arange(16) + 1)

    assert np.array_equal(down, format.round(np.nextafter(ties, 0.0)))
    assert np.array_equal(up, format.round(np.nextafter(ties, 4.0)))
    assert np.array_equal(np.where(np.arange(16) % 2 == 0, down, up), format.round(ties))


@pytest.mark.parametrize("format", ALL, ids=NAMES)
def test_random_values_round_as_in_torch(format: Format) -> None:
    """Values of every size, drawn over the exponents of the format and beyond, round as torch rounds them."""
    rng = np.random.default_rng(3)
    low, high = format.smallest - format.digits - 3, math.frexp(format.largest)[1] + 2
    exponent = rng.integers(max(low, -1070), min(high, 1023), 20000)
    x = single(np.ldexp(rng.uniform(-1.0, 1.0, 20000), exponent))

    assert same_bits(by_torch(x, format), format.round(x))


@pytest.mark.parametrize("format", ALL, ids=NAMES)
def test_rounding_twice_is_rounding_once(format: Format) -> None:
    """A value of the format stays what it is."""
    x = boundary(format)
    once = format.round(x)

    assert same_bits(once, format.round(once))


@pytest.mark.parametrize("format", ALL, ids=NAMES)
def test_unit_roundoff(format: Format) -> None:
    """u is half the distance from 1 to the next number, and the relative error of a normal number stays below it."""
    finfo = torch.finfo(DTYPES[format.name])
    x = np.random.default_rng(4).uniform(0.5, 4.0, 20000)
    error = np.abs(format.round(x) - x) / x

    assert format.u == finfo.eps / 2
    assert error.max() <= format.u
    assert format is FLOAT64 or error.max() > 0.9 * format.u


@pytest.mark.parametrize("format", ALL, ids=NAMES)
def test_range(format: Format) -> None:
    """The largest number, the smallest normal number and half the smallest subnormal are torch's."""
    finfo = torch.finfo(DTYPES[format.name])
    subnormal = 2.0 * format.floor if format is not FLOAT64 else 5e-324

    assert format.largest == finfo.max
    assert 2.0**format.smallest == finfo.tiny
    assert format.round(np.array(subnormal)) == subnormal


@pytest.mark.parametrize("format", BELOW_64, ids=NAMES[1:])
def test_floor(format: Format) -> None:
    """A number below the normal ones is off by the floor at most, and the floor itself rounds to zero."""
    x = np.random.default_rng(5).uniform(0.0, 2.0**format.smallest, 20000)

    assert np.abs(format.round(x) - x).max() <= format.floor
    assert format.round(np.array(format.floor)) == 0.0
    assert format.round(np.array(format.floor * 1.001)) == 2.0 * format.floor


def test_float64_floor_is_zero() -> None:
    """Half the smallest subnormal of float64 is no float64: it is held as zero."""
    assert FLOAT64.floor == 0.0


@pytest.mark.parametrize("format", ALL, ids=NAMES)
def test_input_is_left_alone(format: Format) -> None:
    """Rounding an array changes no entry of it, and answers in float64."""
    x = np.array([0.1, 1.005, 70000.0])
    before = x.copy()
    rounded = format.round(x)

    assert np.array_equal(before, x)
    assert rounded.dtype == np.float64


def test_statistics_are_kept_in_float32_below_it() -> None:
    """The narrow formats are kept in float32 while statistics are taken, the others in themselves."""
    assert [(f.name, f.wide.name, f.narrow) for f in (FLOAT64, FLOAT32, BFLOAT16, FLOAT16)] == [
        ("float64", "float64", False),
        ("float32", "float32", False),
        ("bfloat16", "float32", True),
        ("float16", "float32", True),
    ]
