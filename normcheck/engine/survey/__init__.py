"""Every normalizer of installed libraries: found by name and behavior, and checked each in a process of its own."""
