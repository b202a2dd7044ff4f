"""Stories of data=stories, checked by lists of our own: articles, pronouns, tenses, words of two meanings, splits."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from zoo.components.data.stories import Stories, capitalize_sentences, choose_articles

GIRLS = "Anna Mia Lily Emma Sara Nora Zoe Clara Ruth Alice Olga Ida Maya Lena Rosa Julia Eva Hana Grace Amy"
BOYS = "Tom Ben Max Leo Sam Paul Jack Omar Ivan Noah Hugo Adam Felix Oscar Peter Ali Finn Karl Luke Daniel"
# All words of the stories that follow an article and begin with the sound of a vowel.
VOWELS = """account adventure animal answer ant antelope apple artist awful early eagle egg elegant elm empty enormous
enthusiastic error evening expensive eye hour ice icy idea inn insect island injured oak oar odd office old open orange
ordinary otter owl umbrella ugly uncle unripe unusual abandoned accordion"""
FEMALE, MALE, VOWEL_SOUND = (set(words.split()) for words in (GIRLS, BOYS, VOWELS))
PRESENT = re.compile(r"\b(is|are|has|does|goes|says|lives|works|wants|runs|sees)\b")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(Stories(texts=6000).documents("train"))


def test_stories_are_deterministic_and_depend_on_the_seed():
    first, again, other = (list(Stories(texts=200, seed=seed).documents("train")) for seed in (0, 0, 1))
    assert first == again
    assert not set(first) & set(other)
    assert Stories(texts=200).identity() != Stories(texts=200, seed=1).identity() != Stories(texts=201).identity()


def test_splits_are_disjoint_and_together_as_large_as_asked(texts: list[str]):
    validation = list(Stories(texts=6000).documents("validation"))
    assert len({*texts, *validation}) == len(texts) + len(validation) == 6000
    assert 0.03 < len(validation) / 6000 < 0.07


def test_an_stands_before_words_that_sound_like_vowels(texts: list[str]):
    words = Counter(found for text in texts for found in re.findall(r"\b([Aa]n?) ([a-z]+)", text))
    wrong = {pair for pair in words if (pair[0].lower() == "an") is not (pair[1] in VOWEL_SOUND)}
    assert not wrong
    assert {"a", "an", "A", "An"} == {article for article, _ in words}
    assert not [text for text in texts if re.search(r"[Aa]\(n\)|[{}_]|  | [,.]", text)]


def test_a_story_has_four_to_nine_sentences_with_capitals(texts: list[str]):
    for text in texts:
        sentences = re.split(r"(?<=[.!?])\"? (?=[A-Z\"])", text)
        assert 4 <= len(sentences) <= 9, text
        assert all(re.match(r'"?[A-Z]', sentence) for sentence in sentences), text
        assert not re.search(r"[.!] [a-z]", text), text


def test_pronouns_agree_with_names(texts: list[str]):
    one_person = 0
    for text in texts:
        words = set(re.findall(r"[A-Za-z]+", text))
        names = words & (FEMALE | MALE)
        assert 1 <= len(names) <= 2, text
        if len(names) == 2:
            assert len(names & FEMALE) == 1, text
            continue
        one_person += 1
        other = {"he", "him", "his", "He", "His"} if names & FEMALE else {"she", "her", "She", "Her"}
        assert not words & other, text
    assert one_person > 100


def test_only_what_is_said_is_in_the_present(texts: list[str]):
    for text in texts:
        told = re.sub(r'"[^"]*"', "", text).replace("There is nothing better than a fresh apple", "")
        told = told.replace("Since then", "").replace("has loved", "")
        assert not PRESENT.search(told), text


def test_words_of_two_meanings_occur_in_many_contexts(texts: list[str]):
    river = {text for text in texts if re.search(r"\bbank\b", text) and "river" in text}
    money = {text for text in texts if re.search(r"\bbank\b", text) and "money" in text}
    fruit = {text for text in texts if re.search(r"\bapples?\b", text)}
    company = {text for text in texts if re.search(r"\bApple\b", text)}
    for chosen in (river - money, money - river, fruit - company, company - fruit):
        assert len(chosen) > 300
    assert river & money
    assert fruit & company


def test_a_fluffy_blue_creature_roamed_the_forest(texts: list[str]):
    assert len([text for text in texts if re.search(r"[Aa] fluffy blue creature roamed the forest", text)]) > 10


def test_no_opening_is_much_more_frequent_than_others(texts: list[str]):
    openings = Counter(" ".join(text.split()[:6]) for text in texts)
    assert openings.most_common(1)[0][1] < len(texts) / 20


def test_articles_follow_the_sound_of_the_next_word():
    assert choose_articles("a(n) owl met A(n) used ant") == "an owl met A used ant"
    assert choose_articles("A(n) egg, a(n) unusual cat") == "An egg, an unusual cat"


def test_sentences_are_capitalized():
    given = 'he said "yes," so she ran. "you are right," he said. then "why?" asked she.'
    assert capitalize_sentences(given) == 'He said "yes," so she ran. "You are right," he said. Then "why?" asked she.'
