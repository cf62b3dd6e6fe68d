"""The family of normalizers: catalog, cases, references, error bounds, checks and known faults."""
