"""Tokenizers: how texts become tokens."""
