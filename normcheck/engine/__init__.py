"""A run: from claims to events and verdicts."""
