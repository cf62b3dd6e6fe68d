"""The framework numpy."""
