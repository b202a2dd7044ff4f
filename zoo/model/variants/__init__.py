"""Variants, which wire components into models: decoder, encoder, encoder_decoder."""
