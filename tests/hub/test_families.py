"""Every family at laptop size trains, goes on after an interruption, and writes or fills in what is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import ON_CPU, checked, zoo
from tests.hub.test_presets import FAMILIES
from tests.interruption import Stops, same
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.load_plan import read_study
from zoo.training.run import run_folder, train

PRESETS = ["transformer_2017", *FAMILIES]
SHORT = ["batch=4", "steps=3", "evaluate=3", "checkpoint=1", "examples=0", *ON_CPU]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_family_is_trained_resumed_and_asked(
    preset: str, few_lines: list[str], tmp_path: Path, stops: type[Stops]
) -> None:
    configs = [checked(f"model={preset}", *few_lines, *SHORT, f"runs={tmp_path / name}") for name in ("whole", "cut")]
    whole, cut = (run_folder(config).path for config in configs)
    undisturbed = train(configs[0])
    stops.what, stops.hook, stops.step = KeyboardInterrupt(), "on_train_batch_end", 3
    with pytest.raises(KeyboardInterrupt):
        train(configs[1])
    assert list((cut / "checkpoints").iterdir())
    stops.what = None
    same((cut, train(configs[1])), (whole, undisturbed))
    variant = configs[0].config.model.variant
    prompt = "Work <mask>umber" if variant == "encoder" else "Work number"
    how: list[Any] = ["--fill"] if variant == "encoder" else ["--greedy", "--tokens", "4"]
    if configs[0].config.objective.name == "replaced_token":
        return  # which trains no head
    asked = zoo("generate", str(cut), prompt, *how, "--json")
    assert asked.code == 0, asked.err
    (answer,) = json.loads(asked.out)
    assert answer["prompt"] == prompt
    assert "<mask>" not in answer["text"]


def test_every_family_can_be_an_arm(tmp_path: Path) -> None:
    arms = {preset: {"model": preset} for preset in PRESETS}
    tasks = {"text": {"metrics": ["loss"], "overrides": {"data": "pydocs"}}}
    study = {"question": "Which?", "baseline": "gpt2", "seeds": [1], "arms": arms, "tasks": tasks}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    found = expand_plan(read_study(tmp_path / "study.yaml"))
    assert [setting.arm for setting in found.settings] == PRESETS
    assert found.not_applicable == ()
