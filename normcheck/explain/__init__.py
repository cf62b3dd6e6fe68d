"""Pages of documentation for kinds, checks and faults."""
