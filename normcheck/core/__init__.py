"""What all families share. Imports no normalizer, no framework and no pytest."""
