"""Induction: in-context bigram completion."""

from __future__ import annotations

from random import Random
from typing import final

from zoo.components.data._synthetic import Lengths, RandomPairs, build_alphabet, require_at_least
from zoo.data.interfaces import Split
from zoo.registry import register


@final
@register("data", "induction", paper="arXiv:2209.11895")
class Induction(RandomPairs):
    """Predict the symbol that followed the earlier occurrence of the last symbol: 3a07b2a -> 0.

    The last symbol occurs exactly once before. Two layers of attention can do it with induction heads: a head of the
    first layer copies the previous symbol to each place, and one of the second finds the place. Such heads form
    abruptly, some time into training (arXiv:2209.11895). A single layer cannot do it unless it is exponentially larger
    (arXiv:2408.14332).

    Args:
        symbols: number of different symbols.
        follow: number of symbols after the earlier occurrence to predict.
        train_length: number of symbols of a source in training, including the last one.
        shortest: smallest number of symbols in training, where lengths are drawn uniformly up to ``train_length``; null
            for ``train_length`` always.
        test_length: number of symbols of a source in validation; null for the same lengths as in training.
        limit: number of examples in both splits together.
        validation: fraction of the examples to hold out, selected by a hash of the source.
        seed: seed of the random examples.

    Raises:
        Refused: if ``follow`` is less than 1, if a length is less than ``follow`` + 2, if ``symbols`` is less than 3,
            if ``limit`` is more than half of the number of different examples, or if ``validation`` is not between 0
            and 1.
    Source: Olsson et al. 2022.
    """

    def __init__(
        self,
        *,
        symbols: int = 8,
        follow: int = 1,
        train_length: int = 8,
        shortest: int | None = None,
        test_length: int | None = None,
        limit: int = 20000,
        validation: float = 0.05,
        seed: int = 0,
    ) -> None:
        self.alphabet = build_alphabet("symbols", symbols, least=3)
        self.lengths = Lengths(train_length, shortest, test_length)
        require_at_least("follow", follow, 1)
        self.follow = follow
        self.lengths.require(follow + 2)
        length = self.lengths.shorter_split
        different = symbols * (length - follow - 1) * (symbols - 1) ** (length - 2)
        super().__init__(limit, validation, seed, different, symbols=symbols, follow=follow, lengths=self.lengths)

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Draws the query symbol and a string of other symbols, and puts the query at a random place and at the end."""
        query = random.choice(self.alphabet)
        length = self.lengths.draw(random, split)
        text = random.choices(self.alphabet.replace(query, ""), k=length - 1)
        place = random.randrange(length - 1 - self.follow)
        text[place] = query
        return "".join(text) + query, "".join(text[place + 1 : place + 1 + self.follow])
