"""The framework TensorFlow: functions of its tensors, and layers that are a tf.Module."""
