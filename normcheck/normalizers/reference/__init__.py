"""Float64 references in numpy, with the forward and the hand-derived backward side by side."""
