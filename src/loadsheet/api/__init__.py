"""The Python API: `loadsheet.explain`, `compare`, `predict`, and what they print and plot."""
