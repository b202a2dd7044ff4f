"""Base classes of synthetic tasks on strings of independent random symbols."""

from __future__ import annotations

from abc import abstractmethod
from random import Random
from typing import Any

from zoo.components.data._synthetic import Lengths, RandomPairs, build_alphabet
from zoo.data.interfaces import Split


class RandomStrings(RandomPairs):
    """Base of tasks that map a string of independent, uniformly distributed characters to an answer.

    Args:
        alphabet: the characters.
        lengths: lengths of the strings.
        limit: number of examples in both splits together.
        validation: fraction of the examples to hold out.
        seed: seed of the random examples.
        options: other options of the task, for ``identity``.
    """

    def __init__(
        self, alphabet: str, lengths: Lengths, limit: int, validation: float, seed: int, **options: Any
    ) -> None:
        super().__init__(limit, validation, seed, len(alphabet) ** lengths.shorter_split, lengths=lengths, **options)
        self.alphabet = alphabet
        self.lengths = lengths

    @abstractmethod
    def answer(self, text: str) -> str:
        """Returns the target for the source ``text``."""

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Draws a string, and computes its target."""
        text = "".join(random.choices(self.alphabet, k=self.lengths.draw(random, split)))
        return text, self.answer(text)


class SymbolStrings(RandomStrings):
    """Base of tasks on strings of symbols that have no options of their own.

    Args:
        symbols: number of different symbols.
        train_length: number of symbols per string in training.
        shortest: smallest number of symbols in training, where lengths are drawn uniformly up to ``train_length``; null
            for ``train_length`` always.
        test_length: number of symbols per string in validation; null for the same lengths as in training.
        limit: number of examples in both splits together.
        validation: fraction of the examples to hold out, selected by a hash of the source.
        seed: seed of the random examples.

    Raises:
        Refused: if a length is less than 1, if ``symbols`` is less than 2, if ``limit`` is more than half of the number
            of different strings, or if ``validation`` is not between 0 and 1.
    """

    def __init__(
        self,
        *,
        symbols: int = 10,
        train_length: int = 8,
        shortest: int | None = None,
        test_length: int | None = None,
        limit: int = 20000,
        validation: float = 0.05,
        seed: int = 0,
    ) -> None:
        lengths = Lengths(train_length, shortest, test_length)
        super().__init__(build_alphabet("symbols", symbols), lengths, limit, validation, seed, symbols=symbols)
