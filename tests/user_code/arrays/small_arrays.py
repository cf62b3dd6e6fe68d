"""A library of arrays that nobody knows: it has what the array API standard asks for, as far as a normalizer needs."""

import numpy as _np


class Array:
    def __init__(self, values):
        self._values = values

    def __dlpack__(self, **options):
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()

    @property
    def shape(self):
        return self._values.shape

    def _by(self, other, operation):
        return Array(operation(self._values, other._values if isinstance(other, Array) else other))

    def __add__(self, other):
        return self._by(other, _np.add)

    def __sub__(self, other):
        return self._by(other, _np.subtract)

    def __mul__(self, other):
        return self._by(other, _np.multiply)

    def __truediv__(self, other):
        return self._by(other, _np.divide)


def from_dlpack(array):
    return Array(_np.from_dlpack(array))


def _wide(values):
    return values.astype(_np.promote_types(values.dtype, _np.float32))


def wide(array):
    return Array(_wide(array._values))


def like(array, other):
    return Array(array._values.astype(other._values.dtype))


def mean(array):
    return Array(array._values.mean(-1, keepdims=True))


def sqrt(array):
    return Array(_np.sqrt(array._values))
