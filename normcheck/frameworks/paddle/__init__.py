"""The framework PaddlePaddle: functions of its tensors, and layers of paddle.nn."""
