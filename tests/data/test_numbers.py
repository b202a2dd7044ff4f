from __future__ import annotations

import pytest

from zoo.checks import Refused
from zoo.components.data.numbers import Numbers, get_speller

# Written by hand from grammars of the languages.
SPELLINGS = {
    "digits": {0: "0", 407: "407"},
    "english": {0: "zero", 407: "four hundred and seven", 1100: "one thousand, one hundred", 21: "twenty-one"},
    "german": {1: "eins", 21: "einundzwanzig", 116: "einhundertsechzehn", 30000: "dreißigtausend"},
    "french": {71: "soixante et onze", 80: "quatre-vingts", 81: "quatre-vingt-un", 200000: "deux cent mille"},
    "spanish": {16: "dieciséis", 100: "cien", 101: "ciento uno", 555: "quinientos cincuenta y cinco"},
    "italian": {23: "ventitré", 28: "ventotto", 1000: "mille", 2000: "duemila", 23000: "ventitremila"},
    "portuguese": {100: "cem", 101: "cento e um", 1200: "mil e duzentos", 1256: "mil duzentos e cinquenta e seis"},
    "polish": {1000: "tysiąc", 2000: "dwa tysiące", 5000: "pięć tysięcy", 22000: "dwadzieścia dwa tysiące"},
    "russian": {1000: "одна тысяча", 2001: "две тысячи один", 5000: "пять тысяч", 11000: "одиннадцать тысяч"},
    "ukrainian": {9: "дев'ять", 1000: "одна тисяча", 2000: "дві тисячі", 40: "сорок"},
    "finnish": {11: "yksitoista", 21: "kaksikymmentäyksi", 1000: "tuhat", 200: "kaksisataa"},
    "chinese": {0: "零", 10: "十", 101: "一百零一", 110: "一百一十", 10010: "一万零一十", 110000: "十一万"},
}


@pytest.mark.parametrize("language", SPELLINGS)
def test_spellings(language):
    spell = get_speller(language)
    assert {number: spell(number) for number in SPELLINGS[language]} == SPELLINGS[language]


SMALL = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
"""
ONES = SMALL.split()
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def read_english(words: str) -> int:
    total = part = 0
    for word in words.replace(",", "").replace("-", " ").replace(" and ", " ").split():
        if word == "thousand":
            total, part = total + part * 1000, 0
        elif word == "hundred":
            part *= 100
        else:
            part += ONES.index(word) if word in ONES else 20 + 10 * TENS.index(word)
    return total + part


def test_every_number_is_spelled_once_and_rightly():
    numbers = Numbers()
    train, validation = list(numbers.pairs("train")), list(numbers.pairs("validation"))
    assert all(int(source) == read_english(target) for source, target in train + validation)
    assert sorted(int(source) for source, _ in train + validation) == list(range(10000))
    assert 900 < len(validation) < 1100


def test_a_number_keeps_its_side_whatever_the_languages_and_the_limit():
    few = {source for source, _ in Numbers(limit=200).pairs("validation")}
    more = {target for _, target in Numbers(source="chinese", target="digits", limit=400).pairs("validation")}
    assert few == {digits for digits in more if int(digits) < 200}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "english"}, "source=english, target=english"),
        ({"limit": 9}, "limit of digits must be between 10 and 1000000: got limit of digits=9"),
        ({"target": "german", "limit": 101001}, "limit of german must be between 10 and 101000"),
        ({"source": "spanish", "limit": 21001}, "limit of spanish must be between 10 and 21000"),
        ({"validation": 0.0}, "validation=0.0"),
    ],
)
def test_bad_options_are_refused(options, message: str):
    with pytest.raises(Refused, match=message):
        Numbers(**options)


def test_identity_knows_the_options():
    made = [Numbers(), Numbers(source="german"), Numbers(target="german"), Numbers(limit=99), Numbers(validation=0.2)]
    assert len({numbers.identity() for numbers in made}) == len(made)
