"""The pure step scheduler: events in, step plans out. No clock, no randomness, no torch."""
