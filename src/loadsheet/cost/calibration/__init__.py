"""Fitted constants: one TOML per chip family, and the datasheet facts of every chip."""
