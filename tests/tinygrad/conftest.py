"""What the tests of a framework share is beside those of JAX."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "jax"))
