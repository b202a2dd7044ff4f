"""Recall several of many."""

from __future__ import annotations

from math import perm
from random import Random
from typing import final

from zoo.checks import require_between, require_even
from zoo.components.data._synthetic import Drawn, alphabet
from zoo.data.interfaces import Split
from zoo.registry import register


@final
@register("data", "mqar", paper="arXiv:2312.04927")
class MultiQueryRecall(Drawn):
    """Say the values of several keys after all keys and values were read: a7b3c9 ca -> 97 (without the space).

    Keys are one half of the vocabulary, values the other. To do it for more pairs, gated convolutions need more
    features, attention does not (arXiv:2312.04927); recurrent models pay with the size of their state
    (arXiv:2402.18668). There, queries are strewn over the sequence; here all are asked at its end, so a model must
    also find the query whose turn it is.

    Args:
        pairs: keys with a value in training.
        queries: keys that are asked, each once.
        vocabulary: keys and values that there are, half of them keys; even.
        test_pairs: keys with a value in validation; none is as in training.
        limit: examples of both splits together.
        validation: share of the examples held out, chosen by a hash of the source.
        seed: other seeds give other examples.

    Raises:
        Refused: if ``vocabulary`` is odd or has fewer keys than there are pairs, ``queries`` are not from 1 to the
            pairs, ``limit`` is more than half of the different examples, or ``validation`` is not between 0 and 1.
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
        symbols, half = alphabet("vocabulary", vocabulary), vocabulary // 2
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
        """Different keys, each with any value; then some of the keys in any order."""
        keys = random.sample(self.keys, self.count[split])
        value = dict(zip(keys, random.choices(self.values, k=len(keys)), strict=True))
        asked = random.sample(keys, self.queries)
        told = "".join(key + value[key] for key in keys)
        return told + "".join(asked), "".join(value[key] for key in asked)
