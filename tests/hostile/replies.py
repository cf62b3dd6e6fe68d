"""Each is right until it is first called; then all replies of its process are forged."""

import numpy as np
from sound import f as right

from normcheck.frameworks.isolation import process

y = np.zeros((6, 8))
whole = {
    "y": y,
    "format": "float32",
    "dx": None,
    "dweight": None,
    "dbias": None,
    "running_mean": None,
    "running_var": None,
    "jv": None,
    "ddx": None,
    "called": [],
    "kept_format": True,
    "packed": "",
    "changed": [],
}
deep = []
for _ in range(400):
    deep = [deep]


def forging(record):
    def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        process._run_request = lambda requests, request: dict(record)
        return right(x, normalized_shape, weight, bias, eps)

    return f


nothing = forging({})
no_result = forging({"other": 1})
null = forging({"result": None})
a_list = forging({"result": [1, 2]})
a_text = forging({"result": "passed"})
no_keys = forging({"result": {}})
one_key_less = forging({"result": {k: v for k, v in whole.items() if k != "packed"}})
one_key_more = forging({"result": whole | {"verdict": "passed"}})
text_for_array = forging({"result": whole | {"y": "zeros"}})
other_shape = forging({"result": whole | {"y": np.zeros((2, 2))}})
number_for_texts = forging({"result": whole | {"called": 7}})
mapping_for_text = forging({"result": whole | {"format": {"a": 1}}})
number_for_truth = forging({"result": whole | {"kept_format": 1}})
changes_are_a_number = forging({"result": whole, "changes": 3})
reason_is_a_list = forging({"call": "raised", "reason": [1]})
no_reason = forging({"call": "raised"})
usage_is_a_number = forging({"usage": 12})
both_kinds = forging({"result": whole, "usage": "x"})
deeper = forging({"result": whole | {"called": deep}})
long_text = forging({"result": whole | {"packed": "x" * 1_000_000}})
zeros = forging({"result": whole})
