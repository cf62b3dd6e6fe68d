"""What all families share. Knows no normalizer, no framework and no pytest."""
