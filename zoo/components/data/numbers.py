"""A translation task that needs no download and has one right answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from typing import Literal, final

from zoo.checks import Refused, require_between
from zoo.data.interfaces import Pairs, Split, TextMetric
from zoo.data.split import require_fraction, select_held_out
from zoo.registry import register

Language = Literal[
    "digits",
    "english",
    "german",
    "french",
    "spanish",
    "italian",
    "portuguese",
    "polish",
    "russian",
    "ukrainian",
    "finnish",
    "chinese",
]

# Code of the language, and up to where num2words spells it rightly: German 101 000 is "einhunderteintausend" and
# Spanish 21 000 "veintiún mil", which it gets wrong. Languages that it gets wrong from the start are not offered.
_NUM2WORDS = {
    "english": ("en", 1_000_000),
    "german": ("de", 101_000),
    "french": ("fr", 1_000_000),
    "spanish": ("es", 21_000),
    "italian": ("it", 1_000_000),
    "portuguese": ("pt", 1_000_000),
    "polish": ("pl", 1_000_000),
    "russian": ("ru", 1_000_000),
    "ukrainian": ("uk", 1_000_000),
    "finnish": ("fi", 1_000_000),
}
# Where a number is several words, or signs that a tokenizer can part; elsewhere it is one long word or none.
_BLEU: dict[str, TextMetric] = {
    "english": "bleu_13a",
    "french": "bleu_13a",
    "spanish": "bleu_13a",
    "portuguese": "bleu_13a",
    "polish": "bleu_13a",
    "russian": "bleu_13a",
    "ukrainian": "bleu_13a",
    "chinese": "bleu_zh",
}


@final
@register("data", "numbers")
class Numbers(Pairs):
    """Spellings of the numbers from zero, from one language to another: 407 -> four hundred and seven.

    A number's spellings are on one side of the split only, whatever the languages and the limit.

    Args:
        source: how the source is spelled.
        target: how the target is spelled.
        limit: numbers below it; at most a million, 101000 for German and 21000 for Spanish.
        validation: fraction of the numbers held out, chosen by a hash of the number.

    Raises:
        Refused: if source and target are equal, ``limit`` is outside what is spelled rightly, or ``validation`` is
            not between 0 and 1.
    """

    def __init__(
        self,
        *,
        source: Language = "digits",
        target: Language = "english",
        limit: int = 10000,
        validation: float = 0.1,
    ) -> None:
        require_fraction(validation)
        if source == target:
            raise Refused(f"source and target must differ: got source={source}, target={target}")
        for language in (source, target):
            require_between(f"limit of {language}", limit, 10, _NUM2WORDS.get(language, ("", 1_000_000))[1])
        self.source = source
        self.target = target
        self.limit = limit
        self.validation = validation

    def identity(self) -> str:
        """Options, and the versions of the packages that spell."""
        options = f"source={self.source} target={self.target} limit={self.limit} validation={self.validation}"
        return f"numbers {options} {_spellers()}"

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """Spellings of the numbers of a split, in counting order."""
        held = select_held_out([str(number) for number in range(self.limit)], self.validation)
        source, target = speller(self.source), speller(self.target)
        for number in range(self.limit):
            if (str(number) in held) is (split == "validation"):
                yield source(number), target(number)

    def choose_text_metric(self) -> TextMetric:
        """BLEU where the target language writes a number in several words, chrF where it joins them."""
        return _BLEU.get(self.target, "chrf")


@cache
def _spellers() -> str:
    return f"num2words={version('num2words')} cn2an={version('cn2an')}"


def speller(language: Language) -> Callable[[int], str]:
    """The function that spells a number in ``language``."""
    if language == "digits":
        return str
    if language == "chinese":
        from cn2an import an2cn

        return lambda number: str(an2cn(number))
    from num2words import num2words

    code = _NUM2WORDS[language][0]
    return lambda number: str(num2words(number, lang=code))
