"""Configs as they lie in the world, among them odd ones: taken with the count of transformers, or refused by name.

Each line of ``real_configs.jsonl`` is the content of a ``config.json`` without what no computation depends on, and the
class of transformers whose parameters are counted, or what the refusal must name. Of models of several modalities it is
the class of the language model alone. A published count stands where transformers makes one table less of the config
than it reads from the checkpoint (mT5's head).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from zoo.checks import Refused
from zoo.hub.config_json import read_published_config
from zoo.model.cost import build_on_meta

REAL = [json.loads(line) for line in (Path(__file__).parent / "real_configs.jsonl").read_text().splitlines()]
ASIDE = ("vision_config", "rope_scaling", "quantization_config", "architectures", "model_type", "text_config")


def count_theirs(name: str, config: dict[str, Any]) -> int:
    kind: Any = getattr(transformers, name)
    options = {**config, **config.get("text_config", {})}
    with torch.device("meta"):
        model = kind(kind.config_class(**{key: value for key, value in options.items() if key not in ASIDE}))
    return sum(parameter.numel() for parameter in model.parameters())


def count_ours(config: dict[str, Any]) -> int:
    described = read_published_config(config)
    model = build_on_meta(described.plan, described.plan.vocabulary or 1)
    beside = 0 if described.task is None else described.task.parameters
    return sum(parameter.numel() for parameter in model.parameters()) + beside


def test_real_configs_are_taken_or_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    wrong, taken = [], 0
    for each in REAL:
        name, config = each["name"], each["config"]
        try:
            found: int | str = count_ours(config)
        except Refused as error:
            found = str(error)
        if "refused" in each:
            if not isinstance(found, str) or each["refused"] not in found or len(found.splitlines()) > 1:
                wrong.append(f"{name}: must be refused for {each['refused']}: got {found}")
        elif (expected := each.get("published") or count_theirs(each["class"], config)) != found:
            wrong.append(f"{name}: {each['class']} has {expected:,} parameters: got {found}")
        else:
            taken += 1
    with capsys.disabled():
        known = sum("refused" not in each for each in REAL)
        print(f"\nreal configs: {taken} of {len(REAL)} taken, of {known} that the parts can express")
    assert wrong == []
