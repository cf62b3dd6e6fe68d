import sys

from sound import f as right

sys.setrecursionlimit(1 << 30)


class Deep:
    """Each level takes room on the stack of the interpreter itself."""

    def __repr__(self):
        return repr(self)


def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    repr(Deep())
    return right(x, normalized_shape, weight, bias, eps)
