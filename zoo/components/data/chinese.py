"""Short Chinese texts, written by a grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from random import Random
from typing import ClassVar, final

from zoo.components.data._grammar import GrammarDocuments, Row
from zoo.registry import register

_DIGITS = "零一二三四五六七八九"
_FIRST_DAY, _DAYS = date(2020, 1, 1), 4018  # until the end of 2030


def spell_number(number: int) -> str:
    """Spells a number from 0 to 99: 三十五 for 35."""
    tens, ones = divmod(number, 10)
    ten = ("" if tens < 2 else _DIGITS[tens]) + ("十" if tens else "")
    return ten + ("" if tens and not ones else _DIGITS[ones])


def spell_count(number: int) -> str:
    """Spells a number before a measure word, where two is 两: 两个."""
    return "两" if number == 2 else spell_number(number)


def spell_day(day: date) -> str:
    """Spells month and day: 三月五日."""
    return f"{spell_number(day.month)}月{spell_number(day.day)}日"


def spell_date(day: date) -> str:
    """Spells year, month and day: 二零二四年三月五日."""
    return "".join(_DIGITS[int(digit)] for digit in str(day.year)) + "年" + spell_day(day)


def spell_weekday(day: date) -> str:
    """Spells the day of the week: 星期二."""
    return "星期" + "一二三四五六天"[day.weekday()]


def _spell_terms(a: int, b: int, c: int) -> Row:
    terms = {"a": a, "b": b, "c": c}
    return {
        **{name: spell_number(term) for name, term in terms.items()},
        **{f"count_{name}": spell_count(term) for name, term in terms.items()},
    }


def draw_sum(random: Random) -> Row:
    """Draws a + b = c, with terms from 1 to 20."""
    a, b = random.randint(1, 20), random.randint(1, 20)
    return _spell_terms(a, b, a + b)


def draw_difference(random: Random) -> Row:
    """Draws a - b = c, with b and c from 1 to 15."""
    b, c = random.randint(1, 15), random.randint(1, 15)
    return _spell_terms(b + c, b, c)


def draw_product(random: Random) -> Row:
    """Draws a × b = c, with factors from 1 to 9."""
    a, b = random.randint(1, 9), random.randint(1, 9)
    return _spell_terms(a, b, a * b)


def draw_quotient(random: Random) -> Row:
    """Draws a ÷ b = c, with b and c from 1 to 9."""
    b, c = random.randint(1, 9), random.randint(1, 9)
    return _spell_terms(b * c, b, c)


def draw_date(random: Random) -> Row:
    """Draws a day from 2020 to 2030, with its weekday, and the next day with its own."""
    today = _FIRST_DAY + timedelta(days=random.randint(0, _DAYS - 1))
    tomorrow = today + timedelta(days=1)
    return {
        "date": spell_date(today),
        "day": spell_day(today),
        "weekday": spell_weekday(today),
        "tomorrow": spell_day(tomorrow),
        "weekday_tomorrow": spell_weekday(tomorrow),
    }


@final
@register("data", "chinese")
class Chinese(GrammarDocuments):
    """Short texts in simplified Chinese, such as 她每天吃一个苹果, written by a grammar.

    Passages about daily life, animals, school, weather, fruit, companies and dates, arithmetic in words, and questions
    with their answers; each is true to a small world, and every sum, weekday and capital is right. Words with two
    meanings occur in both: 苹果 is a fruit and a company. A text is held out by a hash of itself.

    Args:
        texts: number of texts in both splits together; all are different.
        validation: fraction of the texts to hold out.
        seed: seed of the random choices.

    Raises:
        Refused: if ``texts`` is less than 2, if ``validation`` is not between 0 and 1, or if the grammar cannot write
            so many different texts.
    """

    computed: ClassVar[Mapping[str, Callable[[Random], Row]]] = {
        "sum": draw_sum,
        "difference": draw_difference,
        "product": draw_product,
        "quotient": draw_quotient,
        "date": draw_date,
    }

    def __init__(self, *, texts: int = 40000, validation: float = 0.05, seed: int = 0) -> None:
        super().__init__(texts, validation, seed)
