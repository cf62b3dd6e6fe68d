"""Returns what is no answer."""

import torch
from sound import f as right


def returning(make):
    def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        return make(x, right(x, normalized_shape, weight, bias, eps))

    return f


class Evil(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise SystemExit("not that")


nothing = returning(lambda x, y: None)
text = returning(lambda x, y: "passed")
other_shape = returning(lambda x, y: y[..., :-1])
meta = returning(lambda x, y: y.to("meta"))
sparse = returning(lambda x, y: y.to_sparse())
complex_numbers = returning(lambda x, y: y.to(torch.complex64))
booleans = returning(lambda x, y: y > 0)
huge = returning(lambda x, y: torch.zeros(1).expand(1 << 40))
generator = returning(lambda x, y: iter([y]))
its_input = returning(lambda x, y: x)
subclass = returning(lambda x, y: y.as_subclass(Evil))
