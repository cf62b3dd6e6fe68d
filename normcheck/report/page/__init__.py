"""A run as one page, its plots, and one implementation as a fragment of it for a notebook."""
