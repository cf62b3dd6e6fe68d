"""What a correct implementation may be off by, from the conditioning of each case."""
