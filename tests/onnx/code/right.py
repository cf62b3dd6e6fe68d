"""Right normalizers as models of ONNX."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
from graphs import model
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def given(*names, **there):
    return [name for name in names if there.get(name, True)]


def layer_norm(elem_type=TensorProto.FLOAT, weight=True, bias=True, epsilon=1e-5):
    lines = (
        []
        if weight
        else [
            "one = Constant <value_float=1.0> ()",
            "shape = Shape <start=-1> (x)",
            "ones32 = Expand(one, shape)",
            "ones = CastLike(ones32, x)",
        ]
    )
    names = ["x", "weight" if weight else "ones", *(["bias"] if bias else [])]
    lines.append(f"y = LayerNormalization <axis=-1, epsilon={float(epsilon)}> ({', '.join(names)})")
    return model(lines, elem_type, given("x", "weight", "bias", weight=weight, bias=bias))


def evaluated_layer_norm(elem_type=TensorProto.FLOAT, weight=True, bias=True, epsilon=1e-5):
    return ReferenceEvaluator(layer_norm(elem_type, weight, bias, epsilon))


def rms_norm(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return model(
        [f"y = RMSNormalization <axis=-1, epsilon={float(epsilon)}> (x, weight)"], elem_type, ["x", "weight"], opset=23
    )


def group_norm(elem_type=TensorProto.FLOAT, num_groups=2, epsilon=1e-5):
    line = f"y = GroupNormalization <num_groups={num_groups}, epsilon={float(epsilon)}> (x, scale, bias)"
    return model([line], elem_type, ["x", "scale", "bias"], opset=21)


def instance_norm(elem_type=TensorProto.FLOAT, epsilon=1e-5):
    return model(
        [f"y = InstanceNormalization <epsilon={float(epsilon)}> (x, scale, bias)"], elem_type, ["x", "scale", "bias"]
    )


def batch_norm(elem_type=TensorProto.FLOAT, training=False, epsilon=1e-5, momentum=0.9):
    outputs = ("y", "new_mean", "new_var") if training else ("y",)
    line = (
        f"{', '.join(outputs)} = BatchNormalization <epsilon={float(epsilon)}, momentum={float(momentum)}, "
        f"training_mode={int(training)}> (x, scale, bias, mean, var)"
    )
    return model([line], elem_type, ["x", "scale", "bias", "mean", "var"], outputs=outputs)


def evaluated_group_norm(elem_type=TensorProto.FLOAT, num_groups=2, epsilon=1e-5):
    return ReferenceEvaluator(group_norm(elem_type, num_groups, epsilon))


def composed_group_norm(elem_type=TensorProto.FLOAT, num_groups=2, epsilon=1e-5):
    """In two passes."""
    lines = [
        f"grouping = Constant <value_ints=[0, {num_groups}, -1]> ()",
        "flat = Constant <value_ints=[0, 0, -1]> ()",
        "axis = Constant <value_ints=[1]> ()",
        "shape = Shape (x)",
        "grouped = Reshape(x, grouping)",
        "mean = ReduceMean <axes=[-1]> (grouped)",
        "c = Sub(grouped, mean)",
        "square = Mul(c, c)",
        "v = ReduceMean <axes=[-1]> (square)",
        "ve = Add(v, eps)",
        "s = Sqrt(ve)",
        "xh = Div(c, s)",
        "back = Reshape(xh, shape)",
        "channels = Reshape(back, flat)",
        "w = Unsqueeze(scale, axis)",
        "b = Unsqueeze(bias, axis)",
        "scaled = Mul(channels, w)",
        "shifted = Add(scaled, b)",
        "y = Reshape(shifted, shape)",
    ]
    return model(lines, elem_type, ["x", "scale", "bias"], {"eps": float(epsilon)})


def composed_layer_norm(elem_type=TensorProto.FLOAT, weight=True, bias=True, epsilon=1e-5):
    """With an eps of the element type: an attribute of a node has float32."""
    lines = [
        "mean = ReduceMean <axes=[-1]> (x)",
        "c = Sub(x, mean)",
        "square = Mul(c, c)",
        "v = ReduceMean <axes=[-1]> (square)",
        "ve = Add(v, eps)",
        "s = Sqrt(ve)",
        "xh = Div(c, s)",
        "scaled = Mul(xh, weight)" if weight else "scaled = Identity(xh)",
        "y = Add(scaled, bias)" if bias else "y = Identity(scaled)",
    ]
    inputs = given("x", "weight", "bias", weight=weight, bias=bias)
    return model(lines, elem_type, inputs, {"eps": float(epsilon)})


def composed_batch_norm(elem_type=TensorProto.FLOAT, training=False, epsilon=1e-5, momentum=0.1):
    """Batch norm of two axes, with torch's conventions."""
    lines = (
        [
            "batch_mean = ReduceMean <axes=[0], keepdims=0> (x)",
            "off = Sub(x, batch_mean)",
            "square = Mul(off, off)",
            "batch_var = ReduceMean <axes=[0], keepdims=0> (square)",
            "shape = Shape <end=1> (x)",
            "n = CastLike(shape, x)",
            "less = Sub(n, one)",
            "ratio = Div(n, less)",
            "unbiased = Mul(batch_var, ratio)",
            "old_mean = Mul(mean, rest)",
            "more_mean = Mul(batch_mean, m)",
            "new_mean = Add(old_mean, more_mean)",
            "old_var = Mul(var, rest)",
            "more_var = Mul(unbiased, m)",
            "new_var = Add(old_var, more_var)",
        ]
        if training
        else []
    )
    used = ("batch_mean", "batch_var") if training else ("mean", "var")
    lines += [
        f"c = Sub(x, {used[0]})",
        f"ve = Add({used[1]}, eps)",
        "s = Sqrt(ve)",
        "xh = Div(c, s)",
        "scaled = Mul(xh, scale)",
        "y = Add(scaled, bias)",
    ]
    numbers = {"eps": float(epsilon), "m": float(momentum), "rest": 1.0 - float(momentum), "one": 1.0}
    outputs = ("y", "new_mean", "new_var") if training else ("y",)
    return model(lines, elem_type, ["x", "scale", "bias", "mean", "var"], numbers, outputs)


exported = layer_norm()
exported_rms = rms_norm()
