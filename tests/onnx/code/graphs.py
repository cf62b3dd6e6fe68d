"""Models from lines in ONNX's own text form."""

from onnx import TensorProto, helper, parser


def model(lines, elem_type, inputs, constants=None, outputs=("y",), opset=17):
    free = lambda name, kind=elem_type: helper.make_tensor_value_info(name, kind, None)
    graph = helper.make_graph(
        [parser.parse_node(line) for line in lines],
        "norm",
        [free(name) for name in inputs],
        [free(name, TensorProto.FLOAT if name == "y32" else elem_type) for name in outputs],
        [helper.make_tensor(name, elem_type, [], [value]) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
