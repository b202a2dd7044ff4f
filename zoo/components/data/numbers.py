"""Translation of spelled-out numbers, which needs no download and has a single correct answer."""

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

# Language code, and the limit below which num2words is correct: it misspells German 101 000 ("einhunderteintausend")
# and Spanish 21 000 ("veintiún mil"). Languages that it misspells from the start are left out.
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
# Languages that write a number as several words, or in characters that a tokenizer can separate.
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
    """Translate spelled-out numbers from one language into another: 407 -> four hundred and seven.

    A number is in the same split for all languages and limits.

    Args:
        source: language of the source.
        target: language of the target.
        limit: upper bound of the numbers, exclusive; at most a million, 101000 for German and 21000 for Spanish.
        validation: fraction of the numbers to hold out, selected by a hash of the number.

    Raises:
        Refused: if source and target are equal, if ``limit`` is outside the range that is spelled correctly, or if
            ``validation`` is not between 0 and 1.
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
        """Returns the options and the versions of the packages that spell the numbers."""
        options = f"source={self.source} target={self.target} limit={self.limit} validation={self.validation}"
        return f"numbers {options} {_format_versions()}"

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """Iterates over the spelled-out numbers of a split in numerical order."""
        held = select_held_out([str(number) for number in range(self.limit)], self.validation)
        source, target = get_speller(self.source), get_speller(self.target)
        for number in range(self.limit):
            if (str(number) in held) is (split == "validation"):
                yield source(number), target(number)

    def choose_text_metric(self) -> TextMetric:
        """Returns BLEU if the target language writes a number as several words, otherwise chrF."""
        return _BLEU.get(self.target, "chrf")


@cache
def _format_versions() -> str:
    return f"num2words={version('num2words')} cn2an={version('cn2an')}"


def get_speller(language: Language) -> Callable[[int], str]:
    """Returns the function that spells out a number in ``language``."""
    if language == "digits":
        return str
    if language == "chinese":
        from cn2an import an2cn

        return lambda number: str(an2cn(number))
    from num2words import num2words

    code = _NUM2WORDS[language][0]
    return lambda number: str(num2words(number, lang=code))
