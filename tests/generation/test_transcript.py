"""What is given out piece by piece is the whole text, is never taken back, and comes as soon as it can."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

import pytest

from zoo.components.tokenizer.bpe import BytePairs
from zoo.components.tokenizer.bytes import Bytes
from zoo.data.special_tokens import Required
from zoo.generation import Prompting
from zoo.generation.transcript import Transcript

TEXT = "Schöne Grüße: 模型 writes 🦓🦓 and ends.\n" * 3
BYTES = Prompting(Bytes().build([], Required(sep=True, sentinels=1)), frozenset({2}))
PAIRS = Prompting(BytePairs(vocabulary=300).build([TEXT] * 3), frozenset({2}))


def given(prompting: Prompting, tokens: Sequence[int], stops: Sequence[str] = ()) -> tuple[list[str], Transcript]:
    """The pieces of each token, those at the end last."""
    transcript = Transcript(prompting.decode, prompting.ends, stops)
    pieces = []
    for token in tokens:
        pieces.append(transcript.add(token))
        if transcript.ended:
            return pieces, transcript
    return [*pieces, transcript.finish()], transcript


@pytest.mark.parametrize("prompting", [BYTES, PAIRS], ids=["bytes", "pairs"])
def test_characters_come_whole_and_at_once(prompting: Prompting) -> None:
    tokens = prompting.encode(TEXT, 999)
    pieces, transcript = given(prompting, tokens)
    assert "".join(pieces) == transcript.text == TEXT
    assert not any("\ufffd" in piece for piece in pieces)
    for count in range(len(tokens)):  # what the tokens so far spell in full is there
        spelled = prompting.decode(tokens[: count + 1])
        assert "".join(pieces[: count + 1]) == spelled.rstrip("\ufffd")


def test_bytes_that_are_no_character_come_in_the_end() -> None:
    zebra = BYTES.encode("ab🦓", 999)
    pieces, transcript = given(BYTES, zebra[:-1])
    assert pieces[:2] == ["a", "b"]
    assert transcript.text == "ab\ufffd"
    pieces, transcript = given(BYTES, [*zebra[:-1], zebra[0]])  # and as soon as another character follows
    assert pieces[-2:] == ["\ufffda", ""]


@pytest.mark.parametrize("prompting", [BYTES, PAIRS], ids=["bytes", "pairs"])
@pytest.mark.parametrize("stops", [["模型"], ["🦓 and"], ["nowhere", "\n"], ["ß", "Grüß"], ["s.\nSch", "s.\nSchx"]])
def test_a_stop_string_ends_the_text_wherever_tokens_begin(prompting: Prompting, stops: list[str]) -> None:
    pieces, transcript = given(prompting, prompting.encode(TEXT, 999), stops)
    places = [place for stop in stops if (place := TEXT.find(stop)) >= 0]
    assert "".join(pieces) == transcript.text == TEXT[: min(places)]
    assert transcript.ended


def test_what_may_begin_a_stop_string_is_kept_back_until_it_does_not() -> None:
    pieces, _ = given(BYTES, BYTES.encode("xaab aac", 999), ["aac"])
    assert pieces == ["x", "", "", "aab", " ", "", "", ""]
    pieces, transcript = given(BYTES, BYTES.encode("xaa", 999), ["aac"])
    assert pieces[-1] == "aa"
    assert transcript.text == "xaa"


def test_random_texts_and_stops_against_a_search_in_the_whole() -> None:
    draw = random.Random(0)
    cut = 0
    for _ in range(300):
        text = "".join(draw.choice("ab é🦓") for _ in range(draw.randrange(1, 25)))
        stops = ["".join(draw.choice("ab é🦓") for _ in range(draw.randrange(1, 4))) for _ in range(draw.randrange(3))]
        pieces, transcript = given(BYTES, BYTES.encode(text, 999), stops)
        places = [place for stop in stops if (place := text.find(stop)) >= 0]
        assert "".join(pieces) == transcript.text == text[: min(places, default=len(text))]
        cut += bool(places)
    assert 50 < cut < 250


def test_any_of_several_tokens_ends_the_text() -> None:
    several = Prompting(BYTES.tokenizer, frozenset({2, 40}))
    for end in several.ends:
        pieces, transcript = given(several, [50, 51, end, 52])
        assert len(pieces) == 3
        assert transcript.ended
        assert transcript.tokens == [50, 51]


def test_special_tokens_are_no_text_but_for_those_that_are_shown() -> None:
    tokenizer = BYTES.tokenizer
    ids = [tokenizer.token_to_id(name) for name in ("<bos>", "<extra_0>", "<sep>")]
    between = [ids[0], *BYTES.encode("a", 999), ids[1], *BYTES.encode("b", 999), ids[2]]
    assert BYTES.decode(between) == "ab"
    assert Prompting(tokenizer, shown=frozenset({ids[1]})).decode(between) == "a<extra_0>b"
    assert BYTES.encode("a<extra_0>b", 999) == between[1:-1]
    assert partial(BYTES.encode, vocabulary=999)("<bos>") == [ids[0]]
