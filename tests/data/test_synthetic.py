"""Each task against a solver of its own, what is held out, and what is refused."""

from __future__ import annotations

import inspect
import itertools
import math
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.checks import Refused
from zoo.components.data._synthetic import build_alphabet
from zoo.components.tokenizer.characters import Characters
from zoo.data.interfaces import Pairs
from zoo.data.prepare import tokenize_data
from zoo.registry import get_index

DRAWN = [
    "copy",
    "reverse",
    "sort",
    "parity",
    "state_tracking",
    "induction",
    "mqar",
    "selective_copy",
    "fuzzy_recall",
    "dyck",
]
ALL = [*DRAWN, "modular_addition", "facts"]
WITH_LENGTH = [name for name in DRAWN if name not in ("mqar", "fuzzy_recall")]
FEW = {"limit": 600, "validation": 0.3}


def made(name: str, **options: Any) -> Any:
    return get_index().get("data", name).load()(**options)


def both(source: Pairs) -> list[tuple[str, str]]:
    return [*source.pairs("train"), *source.pairs("validation")]


# ------------------------------------------------------------------------------------------------------------- solvers


def parity(bits: str) -> str:
    return "1" if bits.count("1") % 2 else "0"


def product_of_matrices(text: str, n: int) -> str:
    """By permutation matrices, each multiplied from the left."""
    symbols = "0123456789" + "abcdefghijklmnopqrstuvwxyz" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    order = sorted(itertools.permutations(range(n)))
    named = "".join(sorted(symbols[: len(order)], key=symbols.index))
    whole = np.eye(n, dtype=int)
    for symbol in text:
        one = np.zeros((n, n), dtype=int)
        for here, there in enumerate(order[named.index(symbol)]):
            one[there, here] = 1
        whole = one @ whole
    return named[order.index(tuple(int(place) for place in whole.argmax(axis=0)))]


def recalled(told: str, asked: str) -> str:
    """The value of a key: what stands behind it, letters being keys and digits values."""
    (value,) = {match[2] for match in re.finditer(r"([a-z]+)([0-9]+)", told) if match[1] == asked}
    return value


def closed(text: str) -> str:
    """What is left when pairs of neighbours that match are struck out again and again, closed from the right."""
    while (shorter := re.sub(r"\(\)|\[\]|\{\}", "", text)) != text:
        text = shorter
    assert not re.search(r"[)\]}]", text)
    return text[::-1].translate(str.maketrans("([{", ")]}")) or "="


def after_the_first(source: str, follow: int) -> str:
    _, after = source[:-1].split(source[-1])
    return after[:follow]


# Twenty symbols are the ten digits and ten letters, so that keys are letters and values digits.
SOLVED: list[tuple[str, dict[str, Any], Any]] = [
    ("copy", {}, lambda s: s),
    ("reverse", {}, lambda s: "".join(s[len(s) - 1 - i] for i in range(len(s)))),
    ("sort", {}, lambda s: "".join(c * s.count(c) for c in "0123456789abcdef")),
    ("sort", {"symbols": 5, "shortest": 1}, lambda s: "".join(c * s.count(c) for c in "01234")),
    ("parity", {}, parity),
    ("parity", {"scratchpad": True}, lambda s: "".join(parity(s[: i + 1]) for i in range(len(s)))),
    ("state_tracking", {}, lambda s: product_of_matrices(s, 3)),
    ("state_tracking", {"elements": 4}, lambda s: product_of_matrices(s, 4)),
    (
        "state_tracking",
        {"scratchpad": True},
        lambda s: "".join(product_of_matrices(s[: i + 1], 3) for i in range(len(s))),
    ),
    ("induction", {"follow": 1}, lambda s: after_the_first(s, 1)),
    ("induction", {"symbols": 4, "follow": 3, "train_length": 9, "shortest": 5}, lambda s: after_the_first(s, 3)),
    ("mqar", {"vocabulary": 20, "pairs": 8}, lambda s: "".join(recalled(s[:16], key) for key in s[16:])),
    ("mqar", {"vocabulary": 20, "pairs": 10, "queries": 1}, lambda s: recalled(s[:20], s[20:])),
    ("selective_copy", {}, lambda s: s.replace(".", "")),
    ("selective_copy", {"marked": 3, "train_length": 9}, lambda s: s.replace(".", "")),
    ("fuzzy_recall", {"vocabulary": 20}, lambda s: recalled(*re.fullmatch(r"(.*[0-9])([a-z]+)", s).groups())),
    (
        "fuzzy_recall",
        {"vocabulary": 20, "longest": 3, "pairs": 3},
        lambda s: recalled(*re.fullmatch(r"(.*[0-9])([a-z]+)", s).groups()),
    ),
    ("dyck", {}, closed),
    ("dyck", {"kinds": 3, "depth": 2, "shortest": 2}, closed),
]


@pytest.mark.parametrize(
    ("name", "options", "solve"), SOLVED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_targets_are_what_a_plain_solver_says(name, options, solve):
    found = both(made(name, **FEW, **options))
    assert len(found) == 600
    assert [target for _, target in found] == [solve(source) for source, _ in found]


def test_every_task_that_is_drawn_has_a_solver():
    assert {name for name, _, _ in SOLVED} == set(DRAWN)


def test_the_asked_part_is_spread_evenly():
    """No answer by position alone: what is asked stands anywhere."""
    induction = Counter(
        source.index(source[-1]) for source, _ in both(made("induction", limit=2000, train_length=12, follow=3))
    )
    assert set(induction) == set(range(8))
    mqar = Counter(source.index(source[-1]) for source, _ in both(made("mqar", pairs=8, vocabulary=32, limit=2000)))
    assert set(mqar) == set(range(0, 16, 2))
    for counts in (induction, mqar):
        assert min(counts.values()) > 180 < max(counts.values()) < 320
    for name in ("parity", "dyck", "state_tracking"):
        answers = Counter(target for _, target in both(made(name, limit=2000)))
        assert max(answers.values()) < 1200


def test_symbols_are_as_many_as_asked_for():
    found = both(made("copy", symbols=80, limit=2000))
    assert {symbol for source, _ in found for symbol in source} == set(build_alphabet("symbols", 80))
    largest = build_alphabet("symbols", 62 + 20902)
    assert len(set(largest)) == len(largest) == 62 + 20902
    assert largest.isalnum()


def test_depth_and_kinds_of_brackets():
    found = both(made("dyck", kinds=3, depth=2, **FEW))
    assert {symbol for source, _ in found for symbol in source} == set("()[]{}")
    assert max(len(target) for _, target in found) == 2


# --------------------------------------------------------------------------------------------- modular sums and facts


def test_modular_addition_is_the_whole_table():
    found = both(made("modular_addition", modulus=7, validation=0.4))
    assert sorted(found) == sorted((f"{a}{b}", str((a + b) % 7)) for a in range(7) for b in range(7))
    whole = made("modular_addition", modulus=59, validation=0.4)
    assert 0.37 < len(list(whole.pairs("validation"))) / 59**2 < 0.43


def test_facts_are_asked_as_they_were_told():
    facts = made("facts", facts=200, symbols=4, key=4, value=3)
    assert facts.compute_target_bits() == 200 * 3 * 2
    train, validation = list(facts.pairs("train")), list(facts.pairs("validation"))
    assert train == validation
    assert len({key for key, _ in train}) == 200
    assert {len(key) for key, _ in train} == {4}
    assert {len(value) for _, value in train} == {3}
    spread = Counter(symbol for _, value in train for symbol in value)
    assert set(spread) == set("0123")
    assert min(spread.values()) > 110


def test_every_key_may_be_a_fact():
    assert {key for key, _ in made("facts", facts=64, symbols=4, key=3).pairs("train")} == {
        "".join(key) for key in itertools.product("0123", repeat=3)
    }


# ----------------------------------------------------------------------------------------------------- what is held out


@pytest.mark.parametrize("name", [*DRAWN, "modular_addition"])
def test_no_example_is_on_both_sides(name):
    options = {} if name == "modular_addition" else {"limit": 3000}
    source = made(name, **options)
    train, validation = [source for source, _ in source.pairs("train")], [s for s, _ in source.pairs("validation")]
    assert train
    assert validation
    assert not set(train) & set(validation)
    assert len(set(train)) == len(train)
    assert len(set(validation)) == len(validation)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("copy", {"symbols": 2, "train_length": 12}),
        ("parity", {"train_length": 12}),
        ("selective_copy", {"marked": 2, "symbols": 8, "train_length": 12}),
    ],
)
def test_no_example_of_one_seed_is_on_the_other_side_for_another(name, options):
    """Of few examples, so that two seeds have many in common."""
    one, other = (made(name, limit=2000, seed=seed, validation=0.3, **options) for seed in (0, 1))
    train, validation = dict(one.pairs("train")), dict(one.pairs("validation"))
    assert not set(train) & set(dict(other.pairs("validation")))
    assert len(set(validation) & set(dict(other.pairs("validation")))) > 100


@pytest.mark.parametrize("test_length", [8, 10, 12])
def test_lengths_that_meet_do_not_leak(test_length):
    """Even where the lengths of training include that of validation."""
    source = made("parity", train_length=12, shortest=6, test_length=test_length, limit=100, validation=0.5)
    train, validation = dict(source.pairs("train")), dict(source.pairs("validation"))
    assert {len(bits) for bits in train} <= set(range(6, 13))
    assert {len(bits) for bits in validation} == {test_length}
    assert train
    assert not set(train) & set(validation)


@pytest.mark.parametrize("name", WITH_LENGTH)
def test_validation_may_be_longer(name):
    train = [source for source, _ in made(name, limit=300, train_length=18).pairs("train")]
    longer = made(name, limit=300, train_length=18, test_length=27, validation=0.2)
    assert {len(source) for source in train} == {18}
    assert {len(source) for source, _ in longer.pairs("validation")} == {27}
    assert {len(source) for source, _ in longer.pairs("train")} == {18}
    assert 30 < len(list(longer.pairs("validation"))) < 90


@pytest.mark.parametrize("name", [name for name in WITH_LENGTH if name != "selective_copy"])
def test_training_may_have_many_lengths(name):
    varied = made(name, limit=600, train_length=18, shortest=10)
    lengths = Counter(len(source) for source, _ in varied.pairs("train"))
    assert set(lengths) == set(range(10, 19))
    assert min(lengths.values()) > 30


def test_validation_may_have_more_pairs():
    for name, options in (("mqar", {"queries": 2}), ("fuzzy_recall", {"longest": 1})):
        more = made(name, pairs=3, test_pairs=7, limit=300, validation=0.3, **options)
        for split, pairs in (("train", 3), ("validation", 7)):
            assert {len(source) for source, _ in more.pairs(split)} == {2 * pairs + options.get("queries", 1)}


def test_all_that_may_be_asked_for_are_found():
    """As many as ``limit`` may be, however uneven the draw."""
    for name, options in (
        ("copy", {"symbols": 2, "train_length": 9}),
        ("parity", {"train_length": 9, "shortest": 1}),
        ("dyck", {"train_length": 9, "kinds": 3, "depth": 9}),
        ("dyck", {"train_length": 14, "kinds": 1, "depth": 3}),
        ("induction", {"symbols": 3, "train_length": 8, "follow": 2}),
        ("selective_copy", {"marked": 2, "symbols": 4, "train_length": 8}),
        ("state_tracking", {"elements": 2, "train_length": 9}),
        ("mqar", {"pairs": 2, "queries": 1, "vocabulary": 8}),
        ("fuzzy_recall", {"pairs": 2, "longest": 3, "vocabulary": 12}),
    ):
        with pytest.raises(Refused) as refused:
            made(name, **options, limit=10**9)
        most = int(re.match(r"limit must be at most (\d+), half of the", str(refused.value))[1])
        source, drawn = made(name, **options, limit=most), 0
        draw = source.draw

        def counted(random, split, draw=draw):
            nonlocal drawn
            drawn += 1
            return draw(random, split)

        source.draw = counted
        assert len(both(source)) == most > 10
        assert drawn <= 2 * 2 * most * 9  # two splits, two draws for each, once in at most nine of the longest


@pytest.mark.parametrize(
    ("name", "options", "exact"),
    [
        ("copy", {"symbols": 2, "train_length": 5}, 2**5),
        ("state_tracking", {"elements": 3, "train_length": 2}, 6**2),
        ("induction", {"symbols": 3, "train_length": 5, "follow": 1}, 3 * 3 * 2**3),
        ("induction", {"symbols": 3, "train_length": 6, "follow": 3}, 3 * 2 * 2**4),
        ("selective_copy", {"marked": 2, "symbols": 2, "train_length": 5}, math.comb(5, 2) * 4),
        ("mqar", {"pairs": 2, "queries": 1, "vocabulary": 4}, 2 * 4 * 2),
    ],
)
def test_the_number_of_different_examples_is_counted_rightly(name, options, exact):
    """By drawing until nothing new comes."""
    from random import Random

    source, random = made(name, **options, limit=2), Random(0)
    assert len({source.draw(random, "train") for _ in range(60 * exact)}) == exact
    with pytest.raises(Refused, match=f"half of the {exact} different examples"):
        made(name, **options, limit=exact)


# --------------------------------------------------------------------------------------------------------- determinism


@pytest.mark.parametrize("name", ALL)
def test_examples_do_not_depend_on_what_was_read_before(name):
    one, other = made(name), made(name)
    first = list(itertools.islice(one.pairs("validation"), 5))
    list(itertools.islice(other.pairs("train"), 7))
    assert list(itertools.islice(other.pairs("validation"), 5)) == first == list(one.pairs("validation"))[:5]


def test_examples_do_not_depend_on_the_process():
    program = (
        "from itertools import islice; from zoo.registry import get_index\n"
        f"for name in {ALL}:\n"
        "    source = get_index().get('data', name).load()()\n"
        "    print(source.identity(), [list(islice(source.pairs(split), 9)) for split in ('train', 'validation')])"
    )

    def printed(seed: str) -> str:
        root = str(Path(__file__).parents[2])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root, "PYTHONIOENCODING": "utf8"}
        return subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            encoding="utf8",
        ).stdout

    assert printed("1") == printed("2") != ""


@pytest.mark.parametrize("name", ALL)
def test_identity_knows_every_option(name):
    parameters = inspect.signature(type(made(name))).parameters
    known = {"shortest": 6, "test_length": 30, "test_pairs": 5, "validation": 0.41, "scratchpad": True, "queries": 3}
    other = {option: known[option] if option in known else item.default + 2 for option, item in parameters.items()}
    changed = [made(name, **{option: value}) for option, value in other.items()]
    identities = {source.identity() for source in [made(name), *changed]}
    assert len(identities) == len(parameters) + 1
    assert all(re.match(rf"{name} 1 ", identity) for identity in identities)


@pytest.mark.parametrize("name", [*DRAWN, "facts"])
def test_another_seed_gives_other_examples(name):
    one, other = (list(itertools.islice(made(name, seed=seed).pairs("train"), 20)) for seed in (0, 1))
    assert one != other


@pytest.mark.parametrize("name", ALL)
def test_one_symbol_is_one_token_and_none_is_unknown(name, tmp_path):
    source = made(name, **({"limit": 500, "validation": 0.2} if name in DRAWN else {}))
    prepared = tokenize_data(source, Characters(), 128, tmp_path)
    batch = prepared.validation.get_batch(range(20))
    assert not (batch.source == prepared.vocabulary.unk).any()
    assert not (batch.target == prepared.vocabulary.unk).any()
    told = list(itertools.islice(source.pairs("validation"), 20))
    assert batch.source_length.tolist() == [len(text) for text, _ in told]
    assert batch.target_length.tolist() == [len(text) + 1 for _, text in told]


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("copy", {"symbols": 1}, "symbols must be between 2 and 20964: got symbols=1"),
        ("copy", {"train_length": 0}, "train_length must be at least 1: got train_length=0"),
        ("copy", {"test_length": 0}, "test_length must be at least 1: got test_length=0"),
        ("copy", {"shortest": 0}, "shortest must be at least 1: got shortest=0"),
        ("reverse", {"shortest": 9}, "shortest must be between 1 and 8: got shortest=9"),
        ("sort", {"validation": 1.0}, "validation=1.0"),
        ("sort", {"limit": 1}, "limit must be at least 2: got limit=1"),
        (
            "parity",
            {"train_length": 10},
            "limit must be at most 512, half of the 1024 different examples: got limit=20000",
        ),
        ("parity", {"test_length": 4, "limit": 9}, "limit must be at most 8, half of the 16"),
        ("state_tracking", {"elements": 7}, "elements must be between 2 and 6: got elements=7"),
        ("induction", {"follow": 0}, "follow must be at least 1: got follow=0"),
        ("induction", {"follow": 2, "train_length": 3}, "train_length must be at least 4: got train_length=3"),
        ("induction", {"follow": 1, "shortest": 2}, "shortest must be at least 3: got shortest=2"),
        ("induction", {"symbols": 2}, "symbols must be between 3 and 20964: got symbols=2"),
        ("mqar", {"vocabulary": 31}, "vocabulary must be even: got vocabulary=31"),
        ("mqar", {"pairs": 9}, "pairs must be between 1 and 8: got pairs=9"),
        ("mqar", {"test_pairs": 9}, "test_pairs must be between 1 and 8: got test_pairs=9"),
        ("mqar", {"queries": 5}, "queries must be between 1 and 4: got queries=5"),
        ("mqar", {"test_pairs": 3}, "queries must be between 1 and 3: got queries=4"),
        ("selective_copy", {"marked": 0}, "marked must be at least 1: got marked=0"),
        ("selective_copy", {"train_length": 5}, "train_length must be at least 6: got train_length=5"),
        ("selective_copy", {"test_length": 5}, "test_length must be at least 6: got test_length=5"),
        ("fuzzy_recall", {"longest": 0}, "longest must be at least 1: got longest=0"),
        ("fuzzy_recall", {"pairs": 17}, "pairs must be between 1 and 16: got pairs=17"),
        ("fuzzy_recall", {"vocabulary": 9}, "vocabulary must be even: got vocabulary=9"),
        ("dyck", {"kinds": 9}, "kinds must be between 1 and 8: got kinds=9"),
        ("dyck", {"depth": 0}, "depth must be at least 1: got depth=0"),
        ("modular_addition", {"modulus": 1}, "modulus must be between 2 and 1000: got modulus=1"),
        ("modular_addition", {"validation": 0.0}, "validation=0.0"),
        ("facts", {"facts": 0}, "facts must be at least 1: got facts=0"),
        ("facts", {"symbols": 2, "key": 3, "facts": 9}, r"facts must be at most symbols\^key = 8: got facts=9"),
        ("facts", {"symbols": 63}, "symbols must be between 2 and 62: got symbols=63"),
        ("facts", {"key": 0}, "key must be between 1 and 10: got key=0"),
        ("facts", {"value": 0}, "value must be at least 1: got value=0"),
    ],
)
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(Refused, match=message):
        made(name, **options)
