"""Objective components: define what a model is trained to predict."""
