"""Pages of documentation for entries, laws and faults."""
