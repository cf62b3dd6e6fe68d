"""Rotary position embeddings: the angles that code is given, and rotations of pairs of entries.

At token t the pair j of n / 2 is rotated by t 10000^(-2 j / n): (a, b) to (a cos - b sin, b cos + a sin). A pair is
entries j and j + n / 2, or the neighbors 2 j and 2 j + 1. Tokens are the first axis, numbered from 1 so that none has
angle 0; of an odd width the last entry is not rotated. Source: Su et al. 2021 (RoFormer), equations 15 and 34.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import FLOAT32, Array, Format

BASE = 10_000.0
"""The base of the angles."""

ROTATED = {"rotary": "rotated", "rotary-interleaved": "rotated in neighbors"}
"""The way to call code of each form in which the queries are rotated."""

ROTATED_KEYS = {"rotary": "keys, rotated", "rotary-interleaved": "keys, rotated in neighbors"}
"""The same for the keys."""

NEIGHBORS = frozenset({ROTATED["rotary-interleaved"], ROTATED_KEYS["rotary-interleaved"]})
"""The ways in which pairs are neighbors."""

ALL = frozenset({*ROTATED.values(), *ROTATED_KEYS.values()})
"""Every way in which something is rotated."""


def tables(tokens: int, width: int, format: Format) -> tuple[Array, Array]:
    """Cosines and sines as the format holds them, (tokens, width / 2).

    Float32 holds them all: code keeps such tables in it whatever its input has, and loses nothing by that.
    """
    pair = np.arange(width // 2)
    angles = np.arange(1, tokens + 1)[:, None] * BASE ** (-2.0 * pair / max(width, 1))
    cos, sin = (format.round(FLOAT32.round(values)) for values in (np.cos(angles), np.sin(angles)))
    return cos, sin


def of_entries(values: Array, *, neighbors: bool) -> Array:
    """Values of pairs for both entries of each, (tokens, width). neighbors: which pairs."""
    return np.repeat(values, 2, axis=1) if neighbors else np.concatenate((values, values), axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Rotation:
    """The rotation of arrays (tokens, ..., width). cos, sin: (tokens, width) of entries. neighbors: which pairs."""

    cos: Array
    sin: Array
    neighbors: bool

    def __call__(self, y: Array) -> Array:
        """The rotated array."""
        first, second = self._pairs(self.sin)
        return self._mixed(y, self.cos, -first, second)

    def back(self, y: Array) -> Array:
        """The array rotated the other way, which is the transposed map."""
        first, second = self._pairs(self.sin)
        return self._mixed(y, self.cos, second, -first)

    def sizes(self, y: Array) -> Array:
        """The sum of the sizes of the two terms of each entry, of the rotation and of its transpose."""
        first, second = self._pairs(np.abs(self.sin))
        return self._mixed(np.abs(y), np.abs(self.cos), first, second)

    def _pairs(self, y: Array) -> tuple[Array, Array]:
        """The first and the second entries of all pairs."""
        pairs = y.shape[-1] // 2
        if self.neighbors:
            return y[..., 0 : 2 * pairs : 2], y[..., 1 : 2 * pairs : 2]
        return y[..., :pairs], y[..., pairs : 2 * pairs]

    def _mixed(self, y: Array, cos: Array, of_second: Array, of_first: Array) -> Array:
        """Each entry times its cosine, plus the other of its pair times a factor. Arrays are (tokens, pairs)."""
        out = np.array(y, dtype=np.float64)
        first, second = self._pairs(y)

        def spread(values: Array) -> Array:
            return values.reshape(len(y), *(1,) * (y.ndim - 2), values.shape[-1])

        of_each = [spread(values) for values in self._pairs(cos)]
        into = self._pairs(out)  # views
        into[0][...] = of_each[0] * first + spread(of_second) * second
        into[1][...] = of_each[1] * second + spread(of_first) * first
        return out


def rotation(use: str, shape: tuple[int, ...], format: Format) -> Rotation:
    """The rotation in a way to call, of arrays of this shape."""
    return of_tables(*tables(shape[0], shape[-1], format), neighbors=use in NEIGHBORS)


def of_tables(cos: Array, sin: Array, *, neighbors: bool) -> Rotation:
    """The rotation by tables of pairs, (tokens, width / 2)."""
    return Rotation(of_entries(cos, neighbors=neighbors), of_entries(sin, neighbors=neighbors), neighbors)
