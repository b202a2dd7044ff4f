"""Short English stories for a first language model."""

from __future__ import annotations

import re
from typing import final

from zoo.components.data._grammar import GrammarDocuments
from zoo.registry import register

_ARTICLE = re.compile(r"\b([aA])\(n\) (\w+)")
_AN = re.compile(r"(?!use|uni|one|eu)[aeiou]|hour|honest")
_SENTENCE_START = re.compile(r'(?:^|[.!?] "?|\." )[a-z]')


@final
@register("data", "stories")
class Stories(GrammarDocuments):
    """Short English stories drawn from a grammar, which a small model learns to continue within minutes.

    A story has about six sentences: people, animals and things with an event, its cause and its effect. Names,
    pronouns and repeated things agree. "Bank" is a bank of a river or of money, and "apple" a fruit or a company, as
    the rest of the story tells. Validation measures new combinations, not new words: every sentence of the validation
    split follows the same rules as those of the training split.

    Args:
        texts: number of stories in both splits together; all are different.
        validation: fraction of the stories to hold out, selected by a hash of the story.
        seed: seed of the random choices.

    Raises:
        Refused: if ``texts`` is less than 2, if ``validation`` is not between 0 and 1, or if the grammar cannot write
            so many different texts.
    """

    def __init__(self, *, texts: int = 20000, validation: float = 0.05, seed: int = 0) -> None:
        super().__init__(texts, validation, seed)

    def finish(self, text: str) -> str:
        """Returns a text with its articles chosen and its sentences capitalized."""
        return capitalize_sentences(choose_articles(text))


def choose_articles(text: str) -> str:
    """Replaces each ``a(n)`` by ``a`` or ``an``, as the sound of the next word needs."""
    return _ARTICLE.sub(lambda found: f"{found[1]}{'n' if _AN.match(found[2]) else ''} {found[2]}", text)


def capitalize_sentences(text: str) -> str:
    """Capitalizes the first letter of each sentence."""
    return _SENTENCE_START.sub(lambda found: found[0][:-1] + found[0][-1].upper(), text)
