"""From claims to verdicts: which check is asked of what, with which effort, and what is made of the answers."""
