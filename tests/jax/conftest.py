"""Code under test is imported by its tests, where its library is installed, and is not collected for doctests."""

collect_ignore = ["code"]
