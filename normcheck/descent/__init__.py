"""Optimizers that follow the geometry of a net: the family's entries, cases and subjects."""
