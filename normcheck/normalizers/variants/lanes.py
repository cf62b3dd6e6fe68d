"""Variants of the faults of sums: which lanes or blocks they read, and what they keep of an earlier call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.faults import Fault
from normcheck.normalizers.faults.saved import statistics_of_first_call
from normcheck.normalizers.faults.structure import centered
from normcheck.normalizers.faults.sums import Total, of_last_block, summing, width, within_blocks
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps
from normcheck.normalizers.variants.variant import BLOCKS, variant


def _padded_to(lanes: Callable[[int], int], *, differentiated: bool) -> Callable[[Steps], Steps]:
    """Lanes beyond the end hold 0, become -mean and are squared.

    differentiated: whether the gradient is the derivative of that.
    """

    def wrap(steps: Steps) -> Steps:
        def variance(c: Array, x: Array, k: Setting) -> Array:
            extra = x.dtype.type((lanes(k.n) - k.n) / k.divisor)
            out: Array = steps.variance(c, x, k) + extra * np.square(x.mean(axis=1, keepdims=True))
            return out

        def backward(saved: Saved, g: Array, k: Setting) -> Array:
            dx = steps.backward(saved, g, k)
            if not (differentiated and k.through[1]):
                return dx
            variance_term = (g * saved.c).sum(axis=1, keepdims=True) * saved.slope / (saved.s * saved.s)
            extra = saved.x.dtype.type(2.0 * (lanes(k.n) - k.n) / k.divisor / k.n)
            out: Array = dx - variance_term * extra * saved.x.mean(axis=1, keepdims=True)
            return out

        return replace(steps, variance=variance, backward=backward)

    return wrap


def _up_to(block: int) -> Callable[[int], int]:
    return lambda n: n + -n % block


def _without_rest(block: int) -> Callable[[Array, Setting], Array]:
    def total(a: Array, k: Setting) -> Array:
        n = a.shape[1]
        out: Array = a[:, : n - n % block if n >= block else n].sum(axis=1, keepdims=True)
        return out

    return total


def _of_whole_blocks(block: int) -> Callable[[Array, Setting], Array]:
    """The sum that the members of whole blocks have on average, so that a mean is theirs."""

    def total(a: Array, k: Setting) -> Array:
        n = a.shape[1]
        read = n - n % block if n >= block else n
        out: Array = a[:, :read].sum(axis=1, keepdims=True) * a.dtype.type(n / max(read, 1))
        return out

    return total


def differentiated(total: Total) -> Callable[[Steps], Steps]:
    """Mean and squares are summed up this way, which is linear, and the gradient is the derivative of that.

    With the weights a of the mean and b of the squares, dmu = a and dv = 2 (b c - (sum b c) a).
    """

    def wrap(steps: Steps) -> Steps:
        def backward(saved: Saved, g: Array, k: Setting) -> Array:
            a, b = np.zeros((1, k.n)), np.zeros((1, k.n))
            if k.centered:
                a = total(np.eye(k.n), k).T / k.n
            b[:, : k.part] = total(np.eye(k.part), k).T / k.divisor
            of_mean, of_variance = k.through
            direct = (g / saved.s).sum(axis=1, keepdims=True)
            by_scale = (g * saved.c).sum(axis=1, keepdims=True) * saved.slope / (saved.s * saved.s)
            dv = 2.0 * (b * saved.c - of_mean * (b * saved.c).sum(axis=1, keepdims=True) * a)
            out: Array = (g / saved.s - of_mean * direct * a - of_variance * by_scale * dv).astype(g.dtype)
            return out

        return replace(summing(total)(steps), backward=backward)

    return wrap


def _chunks_in_half(a: Array, k: Setting) -> Array:
    """Sums of eight in a wide format, their total in the input's own."""
    total = np.zeros((len(a), 1))
    for start in range(0, a.shape[1], 8):
        part = a[:, start : start + 8].sum(axis=1, keepdims=True)
        total = k.format.round(total + k.format.round(part)) if k.format.narrow else total + part
    return total.astype(a.dtype)


def of_lanes(normalizer: Normalizer) -> Iterator[Fault]:
    """Variants of the sums that a normalizer can have."""
    if centered(normalizer):
        for mean in (True, False):
            first = partial(statistics_of_first_call, mean=mean, scale=not mean)
            yield variant("statistics-of-first-call", steps=first)
        for block in (*BLOCKS[:4], *BLOCKS[5:], 4, 7, 256):
            yield variant("block-means-ignored", steps=within_blocks(block))
        for lanes in (width, *map(_up_to, (*BLOCKS, 256, 1024))):
            for known in (True, False):
                yield variant("padded-lanes-in-variance", steps=_padded_to(lanes, differentiated=known))
    for block in BLOCKS:
        yield variant("tail-dropped", steps=summing(_without_rest(block)))
        yield variant("tail-dropped", steps=differentiated(_without_rest(block)))
        yield variant("tail-dropped", steps=differentiated(_of_whole_blocks(block)))
    for read in (_without_rest, _of_whole_blocks):
        yield variant("tail-dropped", steps=differentiated(read(4)))
    for block in (*BLOCKS, 256, 512, 2048, 4096):
        yield variant("sums-restart-at-blocks", steps=summing(of_last_block(block)))
    yield variant("half-accumulator", steps=summing(_chunks_in_half))
