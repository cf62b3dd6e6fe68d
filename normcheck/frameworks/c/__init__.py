"""Functions of C in a shared library or a source, as functions of numpy arrays."""
