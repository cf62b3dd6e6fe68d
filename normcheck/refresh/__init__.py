"""Layers in coordinates that are refreshed between steps: the family's entries, cases and subjects."""
