"""Data: documents and pairs of texts, and how they become rows of tokens."""
