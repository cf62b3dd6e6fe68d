"""What the tests of a framework share is beside those of JAX. A device for samples that are made while loaded."""

import os
import sys
from pathlib import Path

from tinygrad.helpers import DEV

from normcheck.frameworks.tinygrad.device import chosen

sys.path.insert(0, str(Path(__file__).parent.parent / "jax"))
os.environ.setdefault("DEV", chosen())
DEV.value = chosen()
