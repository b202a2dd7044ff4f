"""Base classes of synthetic tasks, whose examples are drawn at random."""

from __future__ import annotations

import string
import sys
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from zoo.checks import require, require_between
from zoo.data.interfaces import Pairs, Split
from zoo.data.split import hash_to_fraction, require_fraction

# Digits and letters first, because they are easy to read; then the unified ideographs of Unicode 1.1.
_LETTERS = string.digits + string.ascii_letters
_IDEOGRAPHS = range(0x4E00, 0x9FA6)
# Increased with every change that gives other examples for the same options.
_VERSION = 1


def build_alphabet(name: str, size: int, *, least: int = 2) -> str:
    """Returns ``size`` different characters, each of which is one token of the tokenizer ``characters``.

    Args:
        name: name of the option that gives the size, for the error message.
        size: number of characters.
        least: smallest size that is allowed.
    """
    require_between(name, size, least, len(_LETTERS) + len(_IDEOGRAPHS))
    return _LETTERS[:size] + "".join(map(chr, _IDEOGRAPHS[: max(0, size - len(_LETTERS))]))


def require_at_least(name: str, value: int, least: int) -> None:
    """Raises :class:`zoo.checks.Refused` unless ``value >= least``."""
    require(value >= least, f"{name} must be at least {least}: got {name}={value}")


@dataclass(frozen=True)
class Lengths:
    """Lengths of the examples; the text of an instance is part of cache keys.

    Args:
        train: length in training, or the greatest length if ``shortest`` is given.
        shortest: smallest length in training; None for ``train``.
        test: length in validation; None for the same lengths as in training.
    """

    train: int
    shortest: int | None
    test: int | None

    def __post_init__(self) -> None:
        self.require(1)
        if self.shortest is not None:
            require_between("shortest", self.shortest, 1, self.train)

    def require(self, least: int) -> None:
        """Raises :class:`zoo.checks.Refused` unless all lengths are at least ``least``."""
        for name, value in (("train_length", self.train), ("shortest", self.shortest), ("test_length", self.test)):
            if value is not None:
                require_at_least(name, value, least)

    def draw(self, random: Random, split: Split) -> int:
        """Draws the length of the next example."""
        if split == "validation" and self.test is not None:
            return self.test
        return random.randint(self.shortest or self.train, self.train)

    @property
    def shorter_split(self) -> int:
        """Greatest length in the split with the shorter examples, which has the fewest different examples."""
        return min(self.train, self.test or self.train)


class RandomPairs(Pairs):
    """Base of tasks that draw distinct examples at random.

    A hash of the source decides whether an example is held out, so that no example is in both splits of any two seeds.

    Args:
        limit: number of examples in both splits together.
        validation: fraction of the examples to hold out.
        seed: seed of the random examples.
        different: inverse of the probability of the most likely example, a lower bound of the number of examples.
        options: other options of the task, for ``identity``.

    Raises:
        Refused: if ``limit`` is less than 2 or more than half of ``different``, for which drawing distinct examples
            would take too long, or if ``validation`` is not between 0 and 1.
    """

    def __init__(self, limit: int, validation: float, seed: int, different: int, **options: Any) -> None:
        require_fraction(validation)
        require_at_least("limit", limit, 2)
        if limit > different // 2:  # formatted only now, since the number may have thousands of digits
            half = f"half of the {different} different examples"
            require(False, f"limit must be at most {different // 2}, {half}: got limit={limit}")
        self.limit = limit
        self.validation = validation
        self.seed = seed
        self.options = options

    def identity(self) -> str:
        """Returns all options and the version of Python, whose random numbers may differ from those of another."""
        values = {**self.options, "limit": self.limit, "validation": self.validation, "seed": self.seed}
        options = " ".join(f"{name}={value}" for name, value in values.items())
        return f"{self._name} {_VERSION} {options} python={sys.version_info.major}.{sys.version_info.minor}"

    @property
    def _name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Draws the source and the target of the next example; the target depends on the source alone."""

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """Iterates over the examples of a split in the order in which they are drawn."""
        random = Random(f"{self._name} {self.seed}")  # a string is hashed with SHA-512, independent of the process
        seen: set[str] = set()
        while len(seen) < self.limit:
            source, target = self.draw(random, split)
            if source in seen:
                continue
            seen.add(source)
            if (hash_to_fraction(source) < self.validation) is (split == "validation"):
                yield source, target
