"""A run in, text out. Knows records, never live objects."""
