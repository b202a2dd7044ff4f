"""Descriptions of a model: its modules and their costs."""
