"""The data pipeline: from documents or pairs of texts to batches of tokens."""
