"""What an unknown callable computes, found by measuring it."""
