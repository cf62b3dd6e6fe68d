"""Layer norms of numpy arrays whose module knows bfloat16."""

import ml_dtypes
import numpy as np

WIDE = {np.dtype(ml_dtypes.bfloat16): np.float32, np.dtype(np.float16): np.float32}


def _wide(x):
    return x.astype(WIDE.get(x.dtype, x.dtype))


def right(x, weight, bias, eps=1e-5):
    h = _wide(x)
    c = h - h.mean(-1, keepdims=True)
    y = c / np.sqrt((c * c).mean(-1, keepdims=True) + np.asarray(eps, h.dtype))
    return (y * _wide(weight) + _wide(bias)).astype(x.dtype)


def truncated(x, weight, bias, eps=1e-5):
    """The last bit of a result in bfloat16 is cut instead of rounded."""
    y = right(_wide(x), _wide(weight), _wide(bias), eps)
    if x.dtype != ml_dtypes.bfloat16:
        return y.astype(x.dtype)
    return (y.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(x.dtype) * np.asarray(1.02, x.dtype)
