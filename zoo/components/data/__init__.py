"""Data sets and synthetic tasks."""
