"""Code that does more than normalize, called as the plain normalizer: one file for each form."""
