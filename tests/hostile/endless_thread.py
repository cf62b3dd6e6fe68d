import threading
import time


def spin():
    while True:
        time.sleep(0.01)


from sound import f as right


def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    threading.Thread(target=spin, name="spinner").start()
    return right(x, normalized_shape, weight, bias, eps)
