"""Layer norms of arrays of a library of one's own."""

import small_arrays as xp


def right(x, weight, bias, eps=1e-5):
    h = xp.wide(x)
    c = h - xp.mean(h)
    return xp.like(c / xp.sqrt(xp.mean(c * c) + eps) * weight + bias, x)


def one_pass(x, weight, bias, eps=1e-5):
    h = xp.wide(x)
    m = xp.mean(h)
    return xp.like((h - m) / xp.sqrt(xp.mean(h * h) - m * m + eps) * weight + bias, x)


def eps_outside(x, weight, bias, eps=1e-5):
    h = xp.wide(x)
    c = h - xp.mean(h)
    return xp.like(c / (xp.sqrt(xp.mean(c * c)) + eps) * weight + bias, x)
