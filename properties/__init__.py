"""The property-based suite: what `pytest --norm KIND=TARGET` runs. It holds no logic and no tolerance."""
