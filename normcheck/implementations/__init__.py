"""Readable torch versions of what torch lacks: examples to learn from, checked by default."""
