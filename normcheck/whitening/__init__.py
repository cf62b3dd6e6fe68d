"""Layers that decorrelate channels: the family's entries, cases and subjects."""
