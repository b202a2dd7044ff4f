"""Generation: sampling, beam search and mask filling with trained models."""

from zoo.generation.beams import Beam, search
from zoo.generation.fill_masks import Candidate, FilledText, fill
from zoo.generation.prompting import Prompting
from zoo.generation.sampling import Sampling
from zoo.generation.texts import generate, search_texts, stream

__all__ = [
    "Beam",
    "Candidate",
    "FilledText",
    "Prompting",
    "Sampling",
    "fill",
    "generate",
    "search",
    "search_texts",
    "stream",
]
