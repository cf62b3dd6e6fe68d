"""Layer norms that get their functions from their input, as the array API standard has it."""


def right(x, weight, bias, eps=1e-5):
    xp = x.__array_namespace__()
    h = xp.astype(x, xp.result_type(x, xp.float32))
    c = h - xp.mean(h, axis=-1, keepdims=True)
    return xp.astype(c / xp.sqrt(xp.mean(c * c, axis=-1, keepdims=True) + eps) * weight + bias, x.dtype)


def unbiased(x, weight, bias, eps=1e-5):
    xp = x.__array_namespace__()
    h = xp.astype(x, xp.result_type(x, xp.float32))
    c = h - xp.mean(h, axis=-1, keepdims=True)
    v = xp.sum(c * c, axis=-1, keepdims=True) / max(x.shape[-1] - 1, 1)
    return xp.astype(c / xp.sqrt(v + eps) * weight + bias, x.dtype)
