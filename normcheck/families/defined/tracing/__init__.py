"""Numpy code run on values that carry their rounding error and know how they were computed."""
