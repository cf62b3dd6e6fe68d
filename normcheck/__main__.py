"""`python -m normcheck` is the command."""

from __future__ import annotations

from normcheck.cli import main

main()
