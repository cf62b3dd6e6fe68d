"""Error bounds: how far a correct implementation may be off on a given case. Each function states its derivation.

Checks multiply a bound by the factor of the contract, and add the bounds of two answers that they compare (the triangle
inequality). Every other number that decides how far an answer may be off stands in this folder.
"""
