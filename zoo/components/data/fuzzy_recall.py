"""Fuzzy recall: associative recall with keys and values of several tokens."""

from __future__ import annotations

from random import Random
from typing import final

from zoo.checks import require_between, require_even
from zoo.components.data._synthetic import RandomPairs, build_alphabet, require_at_least
from zoo.data.interfaces import Split
from zoo.registry import register


@final
@register("data", "fuzzy_recall", paper="arXiv:2403.17844")
class FuzzyRecall(RandomPairs):
    """Recall the value of a key, with keys and values of several tokens: ab7c31ba09 c -> 31 (without the space).

    Keys consist of tokens from one half of the vocabulary and values of tokens from the other, which is the only
    indication of where a key or a value ends. In arXiv:2403.17844, the performance of models on this and five other
    small tasks correlates with their performance at scale.

    Args:
        pairs: number of keys with a value in training.
        longest: greatest number of tokens of a key or a value; lengths are drawn uniformly from 1 up to this.
        vocabulary: number of different tokens, half of them for keys; even.
        test_pairs: number of keys with a value in validation; null for the same number as in training.
        limit: number of examples in both splits together.
        validation: fraction of the examples to hold out, selected by a hash of the source.
        seed: seed of the random examples.

    Raises:
        Refused: if ``vocabulary`` is odd, if there are fewer keys of one token than pairs, if ``longest`` is less than
            1, if ``limit`` is more than the number of different examples allows, or if ``validation`` is not between 0
            and 1.
    Source: Poli et al. 2024.
    """

    def __init__(
        self,
        *,
        pairs: int = 4,
        longest: int = 2,
        vocabulary: int = 32,
        test_pairs: int | None = None,
        limit: int = 20000,
        validation: float = 0.05,
        seed: int = 0,
    ) -> None:
        require_even("vocabulary", vocabulary)
        require_at_least("longest", longest, 1)
        symbols, half = build_alphabet("vocabulary", vocabulary), vocabulary // 2
        self.count = {"train": pairs, "validation": pairs if test_pairs is None else test_pairs}
        for name, count in (("pairs", pairs), ("test_pairs", self.count["validation"])):
            require_between(name, count, 1, half)
        # A lower bound, from the values alone: the most likely value has one token.
        different = (longest * half) ** min(self.count.values())
        options = {"pairs": pairs, "longest": longest, "vocabulary": vocabulary, "test_pairs": test_pairs}
        super().__init__(limit, validation, seed, different, **options)
        self.keys, self.values = symbols[half:], symbols[:half]
        self.longest = longest

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Draws distinct keys, each with a value, followed by one of the keys."""
        value: dict[str, str] = {}
        while len(value) < self.count[split]:
            value.setdefault(self._draw_word(random, self.keys), self._draw_word(random, self.values))
        query = random.choice(list(value))
        return "".join(key + value[key] for key in value) + query, value[query]

    def _draw_word(self, random: Random, symbols: str) -> str:
        return "".join(random.choices(symbols, k=random.randint(1, self.longest)))
