"""The framework Keras 3: its layers and functions of its operations, on the backend that is in use."""
