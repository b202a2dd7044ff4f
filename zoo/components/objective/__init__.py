"""Objective components: what a model is asked."""
