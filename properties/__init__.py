"""The property-based suite: what `pytest --norm KIND=TARGET` runs. No logic and no tolerance here."""
