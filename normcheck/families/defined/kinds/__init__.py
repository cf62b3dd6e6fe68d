"""The normalizers of the catalog that are defined by their forward pass."""

from __future__ import annotations

from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.kinds import (
    batched_graphs,
    batches,
    divisive,
    evolved,
    graphs,
    joined,
    layers,
    lengths,
    maps,
    orthogonal,
    powers,
    references,
    residuals,
    streams,
    styles,
    vectors,
    weights,
    windows,
)

ENTRIES: tuple[DefinedNormalizer, ...] = (
    *vectors.ENTRIES,
    *lengths.ENTRIES,
    *residuals.ENTRIES,
    *layers.ENTRIES,
    *maps.ENTRIES,
    *divisive.ENTRIES,
    *evolved.ENTRIES,
    *styles.ENTRIES,
    *batches.ENTRIES,
    *references.ENTRIES,
    *streams.ENTRIES,
    *powers.ENTRIES,
    *windows.ENTRIES,
    *graphs.ENTRIES,
    *batched_graphs.ENTRIES,
    *joined.ENTRIES,
    *weights.ENTRIES,
    *orthogonal.ENTRIES,
)
"""Every normalizer of this family."""
