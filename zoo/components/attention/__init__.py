"""Attention components: how tokens exchange information."""
