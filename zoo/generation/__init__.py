"""Generation: what a trained model writes."""

from zoo.generation.beams import Beam, search
from zoo.generation.fill_masks import Candidate, Filled, fill
from zoo.generation.prompting import Prompting
from zoo.generation.sampling import Sampling
from zoo.generation.texts import beam_texts, generate, stream

__all__ = ["Beam", "Candidate", "Filled", "Prompting", "Sampling", "beam_texts", "fill", "generate", "search", "stream"]
