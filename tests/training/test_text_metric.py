"""Scores of written texts: 1 for perfect answers whatever the data, less for others; against plain formulas."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
from torchmetrics.functional.text import sacre_bleu_score

from zoo.components.data.numbers import Language
from zoo.data.interfaces import Pairs, TextMetric
from zoo.model.build import make_component
from zoo.model.parts import create_part
from zoo.registry import get_index
from zoo.registry.options import REQUIRED
from zoo.report.records.metrics import Metric
from zoo.runs.config_sections import ComponentConfig
from zoo.training.text_metric import score_texts

DRAWN = [
    {"name": name}
    for name in get_index().get_names("data")
    if issubclass(get_index().get("data", name).load(), Pairs)
    and not any(option.default is REQUIRED for option in get_index().get("data", name).options)
]
SPELLED = [
    {"name": "numbers", "limit": limit, "source": "digits" if target != "digits" else "english", "target": target}
    for target in get_args(Language)
    for limit in (10, 2000)
]


def targets_of(config: dict[str, Any]) -> tuple[TextMetric, list[str]]:
    options = get_index().get("data", config["name"]).options
    defaults = {option.name: option.default for option in options}
    data: Any = make_component(create_part("data", ComponentConfig.from_mapping(defaults | config), "data"))
    return data.choose_text_metric(), [target for _, target in itertools.islice(data.pairs("train"), 128)]


@pytest.mark.parametrize("config", [*DRAWN, *SPELLED], ids=lambda c: " ".join(map(str, c.values())))
def test_a_perfect_answer_scores_one_and_a_wrong_one_less(config: dict[str, Any]) -> None:
    metric, targets = targets_of(config)
    assert len(set(targets)) > 1
    assert score_texts(metric, targets, targets).value == pytest.approx(1.0, abs=1e-12)
    other = next(target for target in targets if target != targets[0])
    assert score_texts(metric, [other, *targets[1:]], targets).value < 1
    assert score_texts(metric, [""] * len(targets), targets).value == 0
    # One text alone, however short.
    assert score_texts(metric, [min(targets, key=len)], [min(targets, key=len)]).value == pytest.approx(1.0, abs=1e-12)


def test_pairs_of_ones_own_say_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "my.tsv").write_text("eins\tone\nzwei\ttwo\n")
    path = str(tmp_path / "my.tsv")
    assert targets_of({"name": "pairs", "path": path})[0] == "chrf"
    for metric in get_args(TextMetric):
        assert targets_of({"name": "pairs", "path": path, "validation": 0.4, "metric": metric})[0] == metric
        assert score_texts(metric, ["a b c", "说一"], ["a b c", "说一"]).value == pytest.approx(1.0, abs=1e-12)
        assert Metric.from_name(metric).goal == "higher"


def plain_chrf(written: list[str], targets: list[str]) -> float:
    """chrF2 of Popović: F-score, β = 2, of precision and recall of n-grams, each averaged over n up to six."""

    def grams(text: str, n: int) -> Counter[str]:
        text = text.replace(" ", "")
        return Counter(text[i : i + n] for i in range(len(text) - n + 1))

    precision = recall = 0.0
    for n in range(1, 7):
        found = [(grams(one, n), grams(other, n)) for one, other in zip(written, targets, strict=True)]
        hits = sum((one & other).total() for one, other in found)
        precision += hits / sum(one.total() for one, _ in found) / 6
        recall += hits / sum(other.total() for _, other in found) / 6
    return 5 * precision * recall / (4 * precision + recall)


def test_scores_are_those_of_the_literature() -> None:
    """chrF against its formula, BLEU against torchmetrics' own implementation, on texts long enough for all n-grams."""
    written = [
        "there is a dog in the garden",
        "the cat sat on the mat today.",
        "four hundred and seven",
        "四百零七万三千",
    ]
    targets = [
        "there is a dog in the park",
        "the cat is on the mat, today.",
        "four hundred and eight",
        "四百零八万三千",
    ]
    chrf = score_texts("chrf", written, targets)
    assert chrf.value == pytest.approx(plain_chrf(written, targets))
    assert "nc:6|nw:0|space:no" in chrf.signature
    for name, tokenizer in {"bleu_13a": "13a", "bleu_zh": "zh", "bleu_char": "char", "bleu_intl": "intl"}.items():
        score = score_texts(name, written, targets)  # type: ignore[arg-type]
        theirs = sacre_bleu_score(written, [[target] for target in targets], tokenize=tokenizer)  # type: ignore[arg-type]
        assert score.value == pytest.approx(float(theirs), rel=1e-5)
        assert f"tok:{tokenizer}|" in score.signature
        assert (score.name, score.texts) == (name, 4)
