"""Test-kits for those who extend normcheck."""
