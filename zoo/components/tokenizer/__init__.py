"""Tokenizers: turn text into tokens."""
