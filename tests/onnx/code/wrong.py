"""Layer norm as models of ONNX, each with one fault."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
from graphs import model
from onnx import TensorProto

LINES = {
    "mean": "mean = ReduceMean <axes=[-1]> (x)",
    "c": "c = Sub(x, mean)",
    "square": "square = Mul(c, c)",
    "v": "v = ReduceMean <axes=[-1]> (square)",
    "ve": "ve = Add(v, eps)",
    "s": "s = Sqrt(ve)",
    "xh": "xh = Div(c, s)",
    "scaled": "scaled = Mul(xh, weight)",
    "y": "y = Add(scaled, bias)",
}


def composed(elem_type, epsilon, outputs=("y",), constants=None, **changes):
    """The formula, with some lines replaced; a line may be several, divided by semicolons."""
    lines = [part for line in (LINES | changes).values() for part in line.split("; ") if part]
    return model(lines, elem_type, ["x", "weight", "bias"], {"eps": float(epsilon), **(constants or {})}, outputs)


def right(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon)


def eps_outside_root(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon, ve="root = Sqrt(v)", s="s = Add(root, eps)")


def variance_unbiased(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    count = "total = ReduceSum <keepdims=1> (square, axis); n32 = Shape <start=-1> (x); n = CastLike(n32, x)"
    changes = {"v": f"axis = Constant <value_ints=[-1]> (); {count}; less = Sub(n, one); v = Div(total, less)"}
    return composed(elem_type, epsilon, constants={"one": 1.0}, **changes)


def mean_kept_in_numerator(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon, xh="xh = Div(x, s)")


def one_pass_variance(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    v = "xx = Mul(x, x); m2 = ReduceMean <axes=[-1]> (xx); mm = Mul(mean, mean); v = Sub(m2, mm)"
    return composed(elem_type, epsilon, square="", v=v)


def weight_ignored(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon, scaled="scaled = Identity(xh)")


def bias_ignored(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon, y="y = Identity(scaled)")


def gain_one_plus_weight(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon, constants={"one": 1.0}, scaled="w = Add(weight, one); scaled = Mul(xh, w)")


def narrow_inside(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon, c="wide = Sub(x, mean); half = Cast <to=10> (wide); c = CastLike(half, x)")


def output_clipped(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    y = "whole = Add(scaled, bias); y = Clip(whole, low, high)"
    return composed(elem_type, epsilon, constants={"low": -3.0, "high": 3.0}, y=y)


def eps_ignored(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon, constants={"own": 1e-5}, ve="ve = Add(v, own)")


def output_float32(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon, outputs=("y32",), y="wide = Add(scaled, bias); y32 = Cast <to=1> (wide)")


def sign_lost(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon, xh="signed = Div(c, s); xh = Abs(signed)")


def whole_tensor(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return composed(elem_type, epsilon, v="v = ReduceMean <keepdims=1> (square)")
