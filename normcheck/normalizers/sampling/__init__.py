"""Which cases a check of normalizers asks."""
