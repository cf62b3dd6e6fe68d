"""What forms need of TensorFlow's tensors (`frameworks.forms.form.FormArrays`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from normcheck.core.floats import Array
from normcheck.frameworks.tensorflow import arrays


class TensorflowFormArrays:
    """Tensors, traced or not."""

    def like(self, values: Array, x: Any) -> Any:
        return arrays.tensor(values, arrays.format_of(x))

    def counts(self, values: Array, x: Any) -> Any:
        return self.offsets(values, x)

    def offsets(self, values: Array, x: Any) -> Any:
        return tf.constant(np.asarray(values, dtype=np.int32))

    def exact(self, values: Array, x: Any) -> Any:
        return tf.constant(np.array(values))

    def numbers(self, x: Any) -> Array:
        return np.asarray(tf.convert_to_tensor(x).numpy()).astype(np.float64)

    def constant(self, x: Any) -> Any:
        return tf.stop_gradient(x)

    def joined(self, first: Any, second: Any, axis: int) -> Any:
        return tf.concat((first, second), axis)

    def taken(self, x: Any, places: Sequence[Array]) -> Any:
        return tf.gather_nd(x, self.counts(np.stack(places, axis=-1), x))

    def moved(self, x: Any, source: int, destination: int) -> Any:
        order = [axis for axis in range(x.shape.rank) if axis != source % x.shape.rank]
        order.insert(destination % x.shape.rank, source % x.shape.rank)
        return tf.transpose(x, order)

    def parameters(self, layer: Any) -> Mapping[str, Any]:
        return {}

    def with_parameters(self, layer: Any, values: Mapping[str, Any], call: Callable[[], Any]) -> Any:
        return call()

    def overwrite(self, x: Any, value: float) -> None:
        """Tensors cannot be written to."""

    def is_array(self, value: Any) -> bool:
        return bool(tf.is_tensor(value))

    def format_of(self, x: Any) -> str:
        return arrays.format_of(x)
