"""Which known fault an implementation of a normalizer has, and what shows it."""
