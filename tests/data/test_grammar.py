"""The engine of the grammars, on small ones whose texts can be listed; and what every grammar that we ship keeps to."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from zoo.checks import Refused
from zoo.components.data import _grammar
from zoo.components.data._grammar import Field, Grammar, GrammarDocuments, parse_template
from zoo.components.data.chinese import Chinese

SHIPPED = [Chinese]
TABLES = {"animal": "name, sound\ncat, meows/purrs\ndog, barks\nowl, hoots at {place}", "place": "name\nnight"}


def build(*templates: str, **rules: str) -> Grammar:
    import yaml

    return Grammar(yaml.safe_dump({"rules": {"text": "\n".join(templates), **rules}, "tables": TABLES}), {})


def write_all(grammar: Grammar) -> set[str]:
    random = Random(0)
    return {grammar.write(random) for _ in range(500)}


def test_alternatives_of_rules_words_and_cells_are_all_written() -> None:
    assert write_all(build("one", "a {animal}")) == {"one", "a cat", "a dog", "a owl"}
    assert write_all(build("it {animal.sound}")) == {"it meows", "it purrs", "it barks", "it hoots at night"}


def test_a_name_stands_for_one_word_and_two_names_for_two() -> None:
    assert write_all(build("{a=animal} and {a}")) == {"cat and cat", "dog and dog", "owl and owl"}
    pairs = write_all(build("{a=animal} {b=animal}"))
    assert pairs == {f"{a} {b}" for a in ("cat", "dog", "owl") for b in ("cat", "dog", "owl") if a != b}


def test_a_choice_is_remembered_without_being_written_and_seen_by_other_rules() -> None:
    assert write_all(build("{a:=animal:dog}{what}", what="the {a} {a.sound}")) == {"the dog barks"}
    assert "dog" not in write_all(build("{a:=animal:dog}{animal}"))


def test_an_alternative_of_a_cell_can_be_remembered() -> None:
    assert write_all(build("{a:=animal:cat}{s=a.sound} {s}")) == {"meows meows", "purrs purrs"}
    assert write_all(build("{s=way} {s}", way="up\ndown")) == {"up up", "down down"}


def test_optional_fields_are_written_half_of_the_time() -> None:
    grammar, random = build("x{a?}", a="y"), Random(0)
    assert 400 < sum(grammar.write(random) == "xy" for _ in range(1000)) < 600


def test_rows_that_do_not_fit_their_columns_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        Grammar("{rules: {text: a}, tables: {t: 'x, y\n\n1'}}", {})


def test_a_rule_and_a_table_of_one_name_are_refused() -> None:
    with pytest.raises(Refused, match="must have different names: got animal twice"):
        build("one", animal="two")


def list_fields(texts: list[str]) -> list[Field]:
    return [piece for text in texts for piece in parse_template(text) if isinstance(piece, Field)]


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda cls: cls.__name__)
def test_every_field_of_a_grammar_that_we_ship_names_something(shipped: type[GrammarDocuments]) -> None:
    grammar = shipped()._grammar  # type: ignore[call-arg]
    rows = dict(grammar.tables)
    rows |= {name: [draw(Random(0))] for name, draw in grammar.computed.items()}
    fields = list_fields([text for texts in grammar.rules.values() for text in texts])
    fields += list_fields([cell for table in grammar.tables.values() for row in table for cell in row.values()])
    sources, names = [*grammar.rules, *rows], {field.name for field in fields} - {""}
    assert len(set(sources)) == len(sources)
    assert not names & set(sources)
    assert {field.source for field in fields} <= {*sources, *names}
    assert set(sources) - {"text"} <= {field.source for field in fields}, "written by no template"
    origins = {name: {field.source for field in fields if field.name == name} for name in names}
    for field in fields:
        tables = [source for source in origins.get(field.source, {field.source}) if source in rows]
        assert not field.column or any(field.column in rows[table][0] for table in tables), field
        assert not field.word or field.word in [next(iter(row.values())) for row in rows[field.source]], field
    for table in grammar.tables.values():
        words = [next(iter(row.values())) for row in table]
        assert len(set(words)) == len(words)


# --------------------------------------------------------------------------------------------------------- data sets


@pytest.fixture(params=SHIPPED, ids=lambda cls: cls.__name__)
def made(request: pytest.FixtureRequest) -> type[GrammarDocuments]:
    return request.param


def test_texts_are_many_different_and_in_one_split(made: type) -> None:
    train, validation = list(made(texts=5000).documents("train")), list(made(texts=5000).documents("validation"))
    assert len(train) + len(validation) == len({*train, *validation}) == 5000
    assert 150 < len(validation) < 350
    other = {*made(texts=5000, seed=1).documents("train")}
    assert not other & {*validation}
    assert len(other & {*train}) < 2500


def test_texts_depend_on_the_seed_alone(made: type) -> None:
    first, again, other = (list(made(texts=50, seed=seed).documents("train")) for seed in (0, 0, 1))
    assert first == again != other
    longer = list(made(texts=100).documents("train"))
    assert longer[: len(first)] == first


def test_identity_knows_options_and_grammar(made: type, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [{}, {"seed": 1}, {"texts": 9}, {"validation": 0.1}]
    identities = {made(**given).identity() for given in options}
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda *given, **options: read(*given, **options) + "\n# changed\n")
    assert len({*identities, made().identity()}) == 5


def test_more_texts_than_the_grammar_has_are_refused(made: type, monkeypatch: pytest.MonkeyPatch) -> None:
    few = made(texts=10)
    few._grammar = build("one", "two", "three")
    with pytest.raises(Refused, match="the grammar has no more than about 3 different texts: got texts=10"):
        list(few.documents("train"))
    assert _grammar._REPEATS > 100


@pytest.mark.parametrize("options", [{"texts": 1}, {"validation": 1.0}])
def test_bad_options_are_refused(made: type, options: dict[str, float]) -> None:
    (name, value), *_ = options.items()
    with pytest.raises(Refused, match=f"{name}={value}"):
        made(**options)
