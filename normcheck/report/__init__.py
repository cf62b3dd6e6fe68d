"""A run as text, markdown, pages and files for other services. Reads plain records only, never live objects."""
