"""A run as files that other services read, and one problem for each cause in them."""
