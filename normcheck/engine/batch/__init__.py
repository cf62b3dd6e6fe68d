"""Many implementations, one after another, each in a copy of one process that has imported everything."""
