"""The published presets: exact counts, and the families whose checkpoints they are."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from zoo.checks import Refused
from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.config.preset_family import find_preset_family, resolve_family
from zoo.hub.family_index import find_family, get_families
from zoo.hub.misfits import find_fitting_family, find_misfits
from zoo.hub.origin import Origin
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


# ------------------------------------------------------------------------------------- presets as names of families


@pytest.mark.parametrize("preset", FAMILIES)
def test_a_preset_names_its_family(preset: str) -> None:
    assert find_preset_family(preset) == FAMILIES[preset]
    assert resolve_family(preset) == (preset if preset in get_families() else FAMILIES[preset])


def test_a_dense_model_is_no_mixture_without_experts() -> None:
    """GLM-4-MoE with dense layers only can express Qwen2, and comes first in the alphabet."""
    _, plan, _ = check({**compose_run(["model=qwen2_5"])["model"], "vocabulary": 100})
    assert plan is not None
    assert find_misfits(find_family("glm4_moe"), plan) == []
    chosen = find_fitting_family(plan, Origin("zoo"))
    assert chosen is not None
    assert chosen.name == "qwen2"


def test_a_size_of_a_preset_names_the_same_family() -> None:
    assert resolve_family("gemma3/1b") == "gemma3_text"


@pytest.mark.parametrize("name", ["zoo", "glm4", "xlm-roberta"])
def test_a_model_type_stands_for_itself(name: str) -> None:
    assert resolve_family(name) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gema3", "unknown family 'gema3': did you mean gemma3? choices: albert, "),
        ("gemma3_txt", "unknown family 'gemma3_txt': did you mean gemma3_text? "),
        ("opanai-gpt", "did you mean openai-gpt? "),
        ("qwen25", "did you mean qwen2_5? "),
        ("transformer", "preset transformer fits no published family: "),
        ("hub", "unknown family 'hub': "),
    ],
)
def test_another_name_is_refused_with_what_it_may_mean(name: str, message: str) -> None:
    with pytest.raises(Refused) as refused:
        resolve_family(name)
    assert message in str(refused.value)
    choices = str(refused.value).split("choices: ")[1].split(", ")
    assert {*get_families(), "zoo", "gemma3", "qwen2_5", "gpt1"} <= set(choices)
    assert not {"transformer", "hybrid", "hub"} & set(choices)


def test_the_page_lists_families_and_the_presets_with_other_names() -> None:
    page = (Path(__file__).parents[2] / "docs" / "published.md").read_text(encoding="utf8")
    listed = re.findall(r"`([\w-]+)`", page.split("The types are:")[1].split("Most presets")[0])
    assert listed == [*get_families()]
    rows = dict(re.findall(r"^\| `(\w+)` \| `([\w-]+)` \|$", page.split("| preset | family |")[1], re.MULTILINE))
    presets = [name for name in list_choices("model") if "/" not in name and name not in ("hub", *get_families())]
    assert rows == {name: family for name in presets if (family := find_preset_family(name)) is not None}
