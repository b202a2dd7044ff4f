"""Converters: each file maps the options and tensors of one published family to ours."""
