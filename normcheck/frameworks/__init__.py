"""One file for each framework: from a target to something that answers cases."""
