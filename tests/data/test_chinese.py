"""Texts of data=chinese, checked by tables and parsers of our own: sums, dates, measure words, tenses, pronouns."""

from __future__ import annotations

import datetime
import re

import pytest
from cn2an import cn2an

from zoo.components.data.chinese import Chinese, spell_number

NUMBER = "([零一二两三四五六七八九十百]+)"
MEASURES = {
    "只": "猫 狗 兔子 小鸟 鸟 鸭子 羊 猴子 熊猫 老虎 狮子 长颈鹿 狐狸 松鼠 小熊 杜鹃鸟",
    "头": "大象 牛",
    "匹": "马",
    "个": "苹果 橘子 梨 桃子 芒果 本子 杯子 皮球 包子 故事 电话 苹果派 饺子",
    "根": "香蕉",
    "串": "葡萄",
    "块": "西瓜 橡皮 糖 饼干",
    "颗": "草莓 樱桃",
    "本": "书 故事书 字典",
    "支": "铅笔 钢笔",
    "把": "尺子 雨伞",
    "张": "地图 照片",
    "幅": "画",
    "件": "衣服 毛衣",
    "条": "裤子 裙子 鱼",
    "顶": "帽子",
    "双": "鞋 袜子",
    "家": "公司",
    "封": "信",
    "首": "歌",
    "棵": "苹果树",
    "束": "花",
}
MALE = ["小明", "小刚", "小华", "小军", "小东", "爸爸", "爷爷", "哥哥", "叔叔"]
FEMALE = ["小红", "小丽", "小美", "小芳", "小雨", "妈妈", "奶奶", "姐姐", "阿姨"]
CAPITALS = {
    "中国": "北京",
    "日本": "东京",
    "韩国": "首尔",
    "法国": "巴黎",
    "英国": "伦敦",
    "德国": "柏林",
    "俄罗斯": "莫斯科",
    "美国": "华盛顿",
    "意大利": "罗马",
    "埃及": "开罗",
    "泰国": "曼谷",
    "西班牙": "马德里",
}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(Chinese(texts=8000).documents("train"))


def find(texts: list[str], pattern: str, least: int) -> list[tuple[str, ...]]:
    found = [match for text in texts for match in re.findall(pattern, text)]
    assert len(found) >= least
    return found


def read_number(text: str) -> int:
    return int(cn2an(text.replace("两", "二"), "smart"))


def test_numbers_are_spelled_as_a_parser_reads_them() -> None:
    assert [cn2an(spell_number(number), "strict" if number else "smart") for number in range(100)] == list(range(100))


def test_every_sum_is_right(texts: list[str]) -> None:
    for a, operation, b, c in find(texts, f"{NUMBER}(加|减|乘|除以){NUMBER}等于{NUMBER}", 1000):
        x, y, z = map(read_number, (a, b, c))
        assert {"加": x + y == z, "减": x - y == z, "乘": x * y == z, "除以": x == y * z}[operation], (
            a,
            operation,
            b,
            c,
        )
    for larger, smaller, by in find(texts, f"{NUMBER}比{NUMBER}大{NUMBER}", 20):
        assert read_number(larger) == read_number(smaller) + read_number(by)


def test_every_story_of_a_sum_is_right(texts: list[str]) -> None:
    given = f"有{NUMBER}.[^。]*?(?:给了[他她]|飞来了|送给..|一共吃了|有){NUMBER}.[^。]*。[^。]*?(一共|还)有{NUMBER}"
    for a, b, what, c in find(texts, given, 200):
        x, y, z = map(read_number, (a, b, c))
        assert z == (x + y if what == "一共" else x - y)


def test_every_date_is_a_day_of_that_weekday(texts: list[str]) -> None:
    day = "(.{1,2})月(.{1,3})日，星期(.)"
    for year, *rest in find(texts, f"今天是(.{{4}})年{day}。明天是{day}", 30):
        month, number, weekday, next_month, next_number, next_weekday = rest
        digits = "".join(str(read_number(digit)) for digit in year)
        today = datetime.date(int(digits), read_number(month), read_number(number))
        tomorrow = today + datetime.timedelta(days=1)
        assert (tomorrow.month, tomorrow.day) == (read_number(next_month), read_number(next_number))
        assert ("一二三四五六天"[today.weekday()], "一二三四五六天"[tomorrow.weekday()]) == (weekday, next_weekday)
    weekdays = "一二三四五六天"
    for today, tomorrow in find(texts, "今天是星期(.)，明天是星期几？答：明天是星期(.)", 30):
        assert weekdays[(weekdays.index(today) + 1) % 7] == tomorrow


def test_nouns_have_their_measure_words(texts: list[str]) -> None:
    measures = {noun: measure for measure, nouns in MEASURES.items() for noun in nouns.split()}
    nouns = "|".join(sorted(measures, key=len, reverse=True))
    for measure, noun in find(
        texts, f"[一两三四五六七八九十]([只头匹个根串块颗本支把张幅件条顶双家封首棵束])({nouns})", 3000
    ):
        assert measures[noun] == measure
    assert not [text for text in texts if re.search("(?<!十)二[只头匹个根串块颗本支把张幅件条顶双]", text)]


def test_times_agree_with_their_verbs(texts: list[str]) -> None:
    sentences = [part for text in texts for part in re.split("[。！？：“”]+", text)]
    past = [part for part in sentences if re.match("昨天(?!是)|前天|上个", part)]
    future = [part for part in sentences if re.match("(明天(?!是)|后天|下个)", part)]
    now = [part for part in sentences if re.match("现在，|此刻|这时候", part)]
    assert min(map(len, (past, future, now))) > 300
    assert not [part for part in past if re.search("正在|会(?!儿)|打算", part)]
    assert not [part for part in past if not re.search("了|看见|带|很|是|问|一起", part)]
    assert not [part for part in future if not re.search("会|打算|想", part) or "正在" in part]
    assert not [part for part in now if "正在" not in part]


def test_pronouns_have_someone_to_stand_for(texts: list[str]) -> None:
    alone = 0
    for text in texts:
        men, women = ([name for name in names if name in text] for names in (MALE, FEMALE))
        if "同学" not in text and "他们" not in text and (men or women) and not (men and women):
            assert ("她" if men else "他") not in text
            alone += 1
    assert alone > 1500


def test_facts_are_right(texts: list[str]) -> None:
    for country, capital in find(texts, r"问：(\w+)的首都是哪里？答：\1的首都是(\w+)", 30):
        assert CAPITALS[country] == capital
    for capital, country in find(texts, r"问：(\w+)是哪个国家的首都？答：\1是(\w+)的首都", 30):
        assert CAPITALS[country] == capital
    for taken, given in find(texts, r"忘了带(\w+)，\w\w借给.一.(\w+)。", 20):
        assert taken == given


def test_apples_are_fruit_and_a_company(texts: list[str]) -> None:
    for phrase in ("苹果公司", "个苹果", "苹果公司发布了新款iPhone", "她每天吃一个苹果", "小米公司", "小米粥", "银行"):
        assert sum(phrase in text for text in texts) >= 15, phrase


def test_texts_are_sentences_of_few_characters(texts: list[str]) -> None:
    assert len(set("".join(texts))) < 800
    for text in texts:
        assert re.fullmatch("([^。！？]+[。！？]”?)+", text), text
        assert 8 < len(text) < 160
        assert text.count("“") == text.count("”")
        assert not re.search("[{}=/?,.]", text)
