"""From a target to a bound implementation: loading, matching of parameters, and one file or folder per framework."""
