"""Norm components: what brings the features of a token to a common size."""
