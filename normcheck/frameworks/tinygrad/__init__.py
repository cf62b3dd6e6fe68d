"""The framework tinygrad: functions of its tensors, and layers as tinygrad.nn has them."""
