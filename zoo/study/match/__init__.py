"""Matching: arms that cost what the baseline costs."""
