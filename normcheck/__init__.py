"""normcheck: is a normalization layer right, in what way is it wrong, how accurate is it, how fast.

>>> import normcheck
>>> normcheck.Implementation("layer_norm", "torch.nn.functional:layer_norm").kind
'layer_norm'
"""

from __future__ import annotations

from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, NormcheckError, UsageError

__version__ = "0.1.0"

__all__ = ["CallError", "Implementation", "NormcheckError", "UsageError", "__version__"]
