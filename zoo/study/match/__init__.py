"""Matching of arms to the cost of the baseline."""
