"""Float64 references in numpy: forward and hand-derived backward side by side, one file for each kernel."""
