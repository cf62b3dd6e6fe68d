import threading
from sound import f as right


def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    threading.Event().wait()
    return right(x, normalized_shape, weight, bias, eps)
