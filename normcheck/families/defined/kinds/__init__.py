"""The normalizers of the catalog that are defined by their forward pass."""

from __future__ import annotations

from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.kinds import (
    batches,
    evolved,
    graphs,
    joined,
    layers,
    maps,
    powers,
    references,
    streams,
    styles,
    vectors,
    weights,
    windows,
)

ENTRIES: tuple[DefinedNormalizer, ...] = (
    *vectors.ENTRIES,
    *layers.ENTRIES,
    *maps.ENTRIES,
    *evolved.ENTRIES,
    *styles.ENTRIES,
    *batches.ENTRIES,
    *references.ENTRIES,
    *streams.ENTRIES,
    *powers.ENTRIES,
    *windows.ENTRIES,
    *graphs.ENTRIES,
    *joined.ENTRIES,
    *weights.ENTRIES,
)
"""Every normalizer of this family."""
