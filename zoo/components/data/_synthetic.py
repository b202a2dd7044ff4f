"""What tasks whose examples are drawn at random have in common."""

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

# Digits and letters first, because they are read easily; then the unified ideographs of Unicode 1.1.
_IDEOGRAPHS = range(0x4E00, 0x9FA6)
_FEW = string.digits + string.ascii_letters
# Raised whenever the same options would give other examples.
_VERSION = 1


def alphabet(name: str, size: int, *, least: int = 2) -> str:
    """``size`` different characters, each of which is one token of the tokenizer ``characters``."""
    require_between(name, size, least, len(_FEW) + len(_IDEOGRAPHS))
    return _FEW[:size] + "".join(map(chr, _IDEOGRAPHS[: max(0, size - len(_FEW))]))


def require_at_least(name: str, value: int, least: int) -> None:
    """Refuse a value below ``least``."""
    require(value >= least, f"{name} must be at least {least}: got {name}={value}")


@dataclass(frozen=True)
class Lengths:
    """How long the examples are: in training from ``shortest`` to ``train``, in validation ``test`` if it is given."""

    train: int
    shortest: int | None
    test: int | None

    def __post_init__(self) -> None:
        self.require(1)
        if self.shortest is not None:
            require_between("shortest", self.shortest, 1, self.train)

    def require(self, least: int) -> None:
        """Refuse lengths below ``least``."""
        for name, value in (("train_length", self.train), ("shortest", self.shortest), ("test_length", self.test)):
            if value is not None:
                require_at_least(name, value, least)

    def draw(self, random: Random, split: Split) -> int:
        """The length of the next example."""
        if split == "validation" and self.test is not None:
            return self.test
        return random.randint(self.shortest or self.train, self.train)

    @property
    def fewest(self) -> int:
        """The length at which a split has the fewest different examples: the longest of the one that is shorter."""
        return min(self.train, self.test or self.train)


class Drawn(Pairs):
    """Different examples, drawn one after the other.

    The hash of an example's source says on which side of the split it is, so none is on both, whatever the seed.

    Args:
        limit: examples that are drawn, those of both splits together.
        validation: share of them that is held out.
        seed: other seeds give other examples.
        different: how many examples there were if all were as likely as the likeliest one.
        options: the further ones, for the identity.

    Raises:
        Refused: if ``limit`` is more than half of ``different``, which would be found too slowly or never, or
            ``validation`` is not between 0 and 1.
    """

    def __init__(self, limit: int, validation: float, seed: int, different: int, **options: Any) -> None:
        require_fraction(validation)
        require_at_least("limit", limit, 2)
        if limit > different // 2:  # formatted only then: the number may have thousands of digits
            half = f"half of the {different} different examples"
            require(False, f"limit must be at most {different // 2}, {half}: got limit={limit}")
        self.limit = limit
        self.validation = validation
        self.seed = seed
        self.options = options

    def identity(self) -> str:
        """All options, and the Python that draws: its random numbers may differ from those of another version."""
        told = {**self.options, "limit": self.limit, "validation": self.validation, "seed": self.seed}
        options = " ".join(f"{name}={value}" for name, value in told.items())
        return f"{self._name} {_VERSION} {options} python={sys.version_info.major}.{sys.version_info.minor}"

    @property
    def _name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Source and target of the next example; the target depends on nothing but the source."""

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """The examples of a split, as they are drawn."""
        random = Random(f"{self._name} {self.seed}")  # a text is hashed by SHA-512, which no process changes
        seen: set[str] = set()
        while len(seen) < self.limit:
            source, target = self.draw(random, split)
            if source in seen:
                continue
            seen.add(source)
            if (hash_to_fraction(source) < self.validation) is (split == "validation"):
                yield source, target


class Strings(Drawn):
    """A string of random characters, about which something is asked.

    Args:
        alphabet: the characters.
        lengths: how many of them.
        limit: as in Drawn.
        validation: as in Drawn.
        seed: as in Drawn.
        options: the further ones, for the identity.
    """

    def __init__(
        self, alphabet: str, lengths: Lengths, limit: int, validation: float, seed: int, **options: Any
    ) -> None:
        super().__init__(limit, validation, seed, len(alphabet) ** lengths.fewest, lengths=lengths, **options)
        self.alphabet = alphabet
        self.lengths = lengths

    @abstractmethod
    def answer(self, text: str) -> str:
        """What is to be said of a string."""

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Characters that are all equally likely, and the answer."""
        text = "".join(random.choices(self.alphabet, k=self.lengths.draw(random, split)))
        return text, self.answer(text)
