"""Encoders of the BERT family: one pass per text, for embeddings and classification."""
