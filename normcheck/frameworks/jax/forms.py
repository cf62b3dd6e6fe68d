"""What forms need of JAX's arrays (`frameworks.forms.form.FormArrays`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normcheck.core.floats import Array
from normcheck.frameworks.jax import arrays


class JaxFormArrays:
    """Arrays, traced or not."""

    def like(self, values: Array, x: Any) -> Any:
        return jnp.asarray(values.astype(x.dtype))

    def counts(self, values: Array, x: Any) -> Any:
        return self.offsets(values, x)

    def offsets(self, values: Array, x: Any) -> Any:
        return jnp.asarray(values.astype(np.int32))

    def exact(self, values: Array, x: Any) -> Any:
        return jnp.asarray(values)

    def numbers(self, x: Any) -> Array:
        return np.asarray(x).astype(np.float64)

    def constant(self, x: Any) -> Any:
        return jax.lax.stop_gradient(x)

    def joined(self, first: Any, second: Any, axis: int) -> Any:
        return jnp.concatenate((first, second), axis)

    def taken(self, x: Any, places: Sequence[Array]) -> Any:
        return x[tuple(self.counts(one, x) for one in places)]

    def moved(self, x: Any, source: int, destination: int) -> Any:
        return jnp.moveaxis(x, source, destination)

    def parameters(self, layer: Any) -> Mapping[str, Any]:
        return {}

    def with_parameters(self, layer: Any, values: Mapping[str, Any], call: Callable[[], Any]) -> Any:
        return call()

    def overwrite(self, x: Any, value: float) -> None:
        """Arrays cannot be written to."""

    def is_array(self, value: Any) -> bool:
        return isinstance(value, jax.Array)

    def format_of(self, x: Any) -> str:
        return arrays.format_of(x)
