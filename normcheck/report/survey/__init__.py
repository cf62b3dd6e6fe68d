"""A survey of libraries as pages, and what was reported in public of what it finds."""
