"""What an unknown callable is, found by measuring it."""
