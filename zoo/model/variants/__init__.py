"""Variants wire components into a model: decoder, encoder, encoder_decoder."""
