"""Attention components: how tokens take from one another."""
