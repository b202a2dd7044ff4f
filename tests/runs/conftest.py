"""Trainings whose folders are looked at, as in the tests of training."""

from tests.training.conftest import documents, pairs, text_file, trained

__all__ = ["documents", "pairs", "text_file", "trained"]
