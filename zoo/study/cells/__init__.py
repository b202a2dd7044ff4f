"""Cells: the runs of a study and their state."""
