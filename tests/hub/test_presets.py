"""The published presets: exact counts, and the families whose checkpoints they are."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.hub.family_index import find_family
from zoo.hub.misfits import find_misfits
from zoo.inspect.summary import describe
from zoo.model.build import check

with (Path(__file__).parent / "published_models.tsv").open() as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))

FAMILIES = {
    "t5": "t5",
    "t5_v1_1": "t5",
    "bart": "bart",
    "bert": "bert",
    "roberta": "roberta",
    "albert": "albert",
    "electra": "electra",
    "modernbert": "modernbert",
    "gpt1": "openai-gpt",
    "gpt2": "gpt2",
    "gpt_neox": "gpt_neox",
    "llama2": "llama",
    "llama3": "llama",
    "mistral": "mistral",
    "mixtral": "mixtral",
    "olmo2": "olmo2",
    "qwen2_5": "qwen2",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3_moe",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "glm4": "glm",
    "glm4_moe": "glm4_moe",
    "ernie4_5": "ernie4_5",
    "ernie4_5_moe": "ernie4_5_moe",
    "deepseek_v2": "deepseek_v2",
    "deepseek_v3": "deepseek_v3",
    "gpt_oss": "gpt_oss",
}
"""The ``model_type`` of each preset; the Transformer of 2017 has none."""


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row['model']} {row['overrides']}") for row in PUBLISHED])
def test_a_published_size_has_exactly_its_parameters(row: dict[str, str]) -> None:
    found = describe([f"model={row['model']}", *row["overrides"].split()])
    counted = int(
        row["buffers_counted"] or 0
    )  # corrections of routers, which one published figure takes for parameters
    assert counted in (0, found["buffers"])
    assert found["parameters"] + counted == int(row["total"])
    assert found["active_parameters"] + counted == int(row["active"])


@pytest.mark.parametrize("preset", FAMILIES)
def test_a_preset_fits_its_family_at_every_size(preset: str) -> None:
    family = find_family(FAMILIES[preset])
    for size in [name for name in list_choices("model") if name.split("/")[0] == preset]:
        config = compose_run([f"model={size}"])["model"]
        _, plan, problems = check({**config, "vocabulary": config.get("vocabulary") or 100})
        assert problems == []
        assert plan is not None
        assert list(map(str, find_misfits(family, plan))) == []
