"""normcheck in pytest: options, collection, progress, outputs."""
