"""A decoder-only language model on torch: readable model code, and a batching engine around it."""
