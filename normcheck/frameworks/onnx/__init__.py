"""The framework ONNX: models, and functions that make them, run by onnxruntime or by the reference evaluator."""
