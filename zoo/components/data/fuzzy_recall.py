"""Recall by keys of several tokens."""

from __future__ import annotations

from random import Random
from typing import final

from zoo.checks import require_between, require_even
from zoo.components.data._synthetic import Drawn, alphabet, require_at_least
from zoo.data.interfaces import Split
from zoo.registry import register


@final
@register("data", "fuzzy_recall", paper="arXiv:2403.17844")
class FuzzyRecall(Drawn):
    """Say the value of a key, where keys and values have several tokens: ab7c31ba09 c -> 31 (without the space).

    Keys are written in one half of the vocabulary, values in the other, which alone tells where one ends. In
    arXiv:2403.17844, how well models do this and five other small tasks goes with how well they do at scale.

    Args:
        pairs: keys with a value in training.
        longest: most tokens of a key or a value; their lengths are drawn evenly from 1 to it.
        vocabulary: tokens that there are, half of them for keys; even.
        test_pairs: keys with a value in validation; none is as in training.
        limit: examples of both splits together.
        validation: share of the examples held out, chosen by a hash of the source.
        seed: other seeds give other examples.

    Raises:
        Refused: if ``vocabulary`` is odd, there are fewer keys of one token than pairs, ``longest`` is below 1,
            ``limit`` is more than the different examples allow, or ``validation`` is not between 0 and 1.
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
        symbols, half = alphabet("vocabulary", vocabulary), vocabulary // 2
        self.count = {"train": pairs, "validation": pairs if test_pairs is None else test_pairs}
        for name, count in (("pairs", pairs), ("test_pairs", self.count["validation"])):
            require_between(name, count, 1, half)
        # The values alone already make so many; a value of one token is the likeliest.
        different = (longest * half) ** min(self.count.values())
        options = {"pairs": pairs, "longest": longest, "vocabulary": vocabulary, "test_pairs": test_pairs}
        super().__init__(limit, validation, seed, different, **options)
        self.keys, self.values = symbols[half:], symbols[:half]
        self.longest = longest

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Different keys, each with any value; then one of the keys."""
        value: dict[str, str] = {}
        while len(value) < self.count[split]:
            value.setdefault(self._word(random, self.keys), self._word(random, self.values))
        asked = random.choice(list(value))
        return "".join(key + value[key] for key in value) + asked, value[asked]

    def _word(self, random: Random, symbols: str) -> str:
        return "".join(random.choices(symbols, k=random.randint(1, self.longest)))
