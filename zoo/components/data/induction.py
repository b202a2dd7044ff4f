"""Find what followed."""

from __future__ import annotations

from random import Random
from typing import final

from zoo.components.data._synthetic import Drawn, Lengths, alphabet, require_at_least
from zoo.data.interfaces import Split
from zoo.registry import register


@final
@register("data", "induction", paper="arXiv:2209.11895")
class Induction(Drawn):
    """Say what followed the last symbol where it stood before: 3a07b2a -> 0.

    The last symbol stands at one earlier place. Two layers of attention can do it: a head of the first takes the
    symbol before to each place, one of the second looks for the place; such heads form suddenly, and after a while
    (arXiv:2209.11895). One layer cannot unless it is exponentially larger (arXiv:2408.14332).

    Args:
        symbols: how many different symbols there are.
        follow: how many of the symbols that followed are to be said.
        train_length: symbols of a source in training, the asked one included.
        shortest: fewest symbols in training, where lengths are drawn evenly; none is always ``train_length``.
        test_length: symbols of a source in validation; none is as in training.
        limit: examples of both splits together.
        validation: share of the examples held out, chosen by a hash of the source.
        seed: other seeds give other examples.

    Raises:
        Refused: if ``follow`` is below 1, a length is below ``follow`` + 2, ``symbols`` is below 3, ``limit`` is more
            than half of the different examples, or ``validation`` is not between 0 and 1.
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
        self.alphabet = alphabet("symbols", symbols, least=3)
        self.lengths = Lengths(train_length, shortest, test_length)
        require_at_least("follow", follow, 1)
        self.follow = follow
        self.lengths.require(follow + 2)
        fewest = self.lengths.fewest
        different = symbols * (fewest - follow - 1) * (symbols - 1) ** (fewest - 2)
        super().__init__(limit, validation, seed, different, symbols=symbols, follow=follow, lengths=self.lengths)

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Symbols other than the asked one, which is then put somewhere and at the end."""
        asked = random.choice(self.alphabet)
        length = self.lengths.draw(random, split)
        text = random.choices(self.alphabet.replace(asked, ""), k=length - 1)
        place = random.randrange(length - 1 - self.follow)
        text[place] = asked
        return "".join(text) + asked, "".join(text[place + 1 : place + 1 + self.follow])
