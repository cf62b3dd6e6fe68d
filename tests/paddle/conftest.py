"""What the tests of a framework share is beside those of JAX. PaddlePaddle warns while it is imported."""

import sys
import warnings
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paddle  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent.parent / "jax"))
