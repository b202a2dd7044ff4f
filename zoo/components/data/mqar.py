"""Multi-query associative recall (MQAR)."""

from __future__ import annotations

from math import perm
from random import Random
from typing import final

from zoo.checks import require_between, require_even
from zoo.components.data._synthetic import RandomPairs, build_alphabet
from zoo.data.interfaces import Split
from zoo.registry import register


@final
@register("data", "mqar", paper="arXiv:2312.04927")
class MultiQueryRecall(RandomPairs):
    """Recall the values of several keys after a sequence of keys and values: a7b3c9 ca -> 97 (without the space).

    Keys are one half of the vocabulary, values the other. For more pairs, gated convolutions need more features, but
    attention does not (arXiv:2312.04927); recurrent models need a larger state (arXiv:2402.18668). In these papers the
    queries are scattered over the sequence. Here they all stand at its end, so that a model also has to find the query
    to be answered next.

    Args:
        pairs: number of keys with a value in training.
        queries: number of keys to recall, each once.
        vocabulary: number of different keys and values, half of them keys; even.
        test_pairs: number of keys with a value in validation; null for the same number as in training.
        limit: number of examples in both splits together.
        validation: fraction of the examples to hold out, selected by a hash of the source.
        seed: seed of the random examples.

    Raises:
        Refused: if ``vocabulary`` is odd or has fewer keys than there are pairs, if ``queries`` is not between 1 and
            the number of pairs, if ``limit`` is more than half of the number of different examples, or if
            ``validation`` is not between 0 and 1.
    Source: Arora et al. 2023.
    """

    def __init__(
        self,
        *,
        pairs: int = 4,
        queries: int = 4,
        vocabulary: int = 16,
        test_pairs: int | None = None,
        limit: int = 20000,
        validation: float = 0.05,
        seed: int = 0,
    ) -> None:
        require_even("vocabulary", vocabulary)
        symbols, half = build_alphabet("vocabulary", vocabulary), vocabulary // 2
        self.count = {"train": pairs, "validation": pairs if test_pairs is None else test_pairs}
        for name, count in (("pairs", pairs), ("test_pairs", self.count["validation"])):
            require_between(name, count, 1, half)
        fewest = min(self.count.values())
        require_between("queries", queries, 1, fewest)
        different = perm(half, fewest) * half**fewest * perm(fewest, queries)
        options = {"pairs": pairs, "queries": queries, "vocabulary": vocabulary, "test_pairs": test_pairs}
        super().__init__(limit, validation, seed, different, **options)
        self.keys, self.values = symbols[half:], symbols[:half]
        self.queries = queries

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Draws distinct keys, each with a value, followed by some of the keys in random order."""
        keys = random.sample(self.keys, self.count[split])
        value = dict(zip(keys, random.choices(self.values, k=len(keys)), strict=True))
        queries = random.sample(keys, self.queries)
        context = "".join(key + value[key] for key in keys)
        return context + "".join(queries), "".join(value[key] for key in queries)
