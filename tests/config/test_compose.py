"""Where configs lie, and overrides that Hydra could not apply."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from zoo.checks import Refused
from zoo.config.compose import compose_run, find_override_problems, to_plain
from zoo.config.config_store import publish
from zoo.config.groups import list_choices, list_config_groups, list_slots
from zoo.model.schema import SLOTS
from zoo.registry import get_index
from zoo.system.installation import find_package_folder


def test_conf_and_experiments_are_found() -> None:
    assert (find_package_folder("conf") / "train.yaml").is_file()
    assert (find_package_folder("experiments") / "three_variants" / "study.yaml").is_file()


def test_every_slot_of_a_model_is_a_group_with_every_component() -> None:
    for slot in SLOTS:
        for group in (f"model/{slot}", f"model/encoder/{slot}", f"model/decoder/{slot}"):
            assert group in list_config_groups()
            assert list_choices(group) == get_index().get_names(slot)


@pytest.mark.parametrize(
    "override",
    [
        *("model=llama/small", "~model/ffn", "model={variant: decoder}", "+model.exceptions.a.first=1"),
        *("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
        *("seed=1,2", "model=gpt,llama", "model/ffn=glob(*)", "steps=range(1,3)"),
    ],
)
def test_what_hydra_can_apply_is_left_to_it(override: str) -> None:
    assert find_override_problems([override]) == {}


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model=gpt,lama", "model: unknown choice 'lama': did you mean llama?"),
        ("model/fnn=mlp", "model/fnn: unknown config group: did you mean model/ffn?"),
        ("objective=causal", "objective: unknown choice 'causal': did you mean causal_lm?"),
        ("data/tokenizer=byte", "data/tokenizer: unknown choice 'byte': did you mean bytes?"),
        ("model/norm=null", "model/norm: must be chosen: choices: derf, dyt"),
        ("stepz=1", "stepz: unknown key: did you mean steps?"),
        ("steps", "steps: cannot be read as key=value"),
    ],
)
def test_the_rest_is_told(override: str, told: str) -> None:
    assert find_override_problems([override])[override].startswith(told)


def test_what_cannot_be_applied_does_not_hide_the_rest() -> None:
    with pytest.raises(Refused) as refused:
        compose_run(["model/ffn=gatd", "model.ffn.bias=5", "steps=x", "batch=0", "zeed=1"])
    lines = str(refused.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["model/ffn", "zeed", "steps"]


def test_a_missing_interpolation_is_told() -> None:
    with pytest.raises(Refused, match="nowhere"):
        compose_run(["optimizer.lr=${nowhere}"])


ALIKE = (
    [],
    ["model=llama", "data=numbers", "model/attention=multi_head", "model.attention.bias=all", "steps=7"],
    ["model=llama", "~model/norm", "+model.norm={name: dyt}"],
    ["model.norm.eps=1e-3", "model/norm=rms", "model=llama/tiny", "seed=3", "steps=1", "steps=2", "steps=1"],
    ["model=transformer", "model/encoder/attention=none", "model/cross=multi_head", "model.encoder.layers=1"],
    ["model=transformer", "model/decoder/norm=dyt", "model.decoder={layers: 2}", "+model.new={a: [1, {b: null}]}"],
    ["model=local_global", "model.exceptions=null", "+model.exceptions={all: {first: 1}}", "~optimizer.weight_decay"],
    ["data=pydocs", "data/tokenizer=characters", "~data.tokenizer.name", "+data.tokenizer.name=bytes"],
    ["optimizer=adam", "optimizer={lr: 0.5}", "schedule=constant", "runs=${cache}/${steps}", "label='a, ${seed}'"],
    ["model={norm: {name: l2}}", "model/norm=scale", "model/norm=rms", "trainer=cpu", "logger=none"],
    ["objective=causal_lm", "model/position=none", "++model.dim=3", "callbacks={a: {_target_: b}}"],
)


def test_configs_composed_quickly_are_those_of_hydra() -> None:
    """In both orders, so that nothing of one config gets into another."""
    publish()
    with initialize_config_dir(str(find_package_folder("conf")), version_base="1.3"):
        whole = [to_plain(compose("train", overrides=list(lines))) for lines in ALIKE]
        assert [compose_run(lines) for lines in ALIKE] == whole
        assert [compose_run(lines) for lines in reversed(ALIKE)] == whole[::-1]
    assert len({str(config) for config in whole}) == len(ALIKE)
    assert not GlobalHydra.instance().is_initialized()
    assert compose_run(ALIKE[3]) == whole[3]


def test_hydra_itself_puts_a_component_into_every_slot() -> None:
    """As ``zoo train`` and the launchers do, including slots that the preset leaves out."""
    publish()
    chosen = {group: get_index().get_names(kind)[0] for group, kind in list_slots()}
    with initialize_config_dir(str(find_package_folder("conf")), version_base="1.3"):
        config = compose("train", overrides=[f"{group}={name}" for group, name in chosen.items()])
    for group, name in chosen.items():
        assert OmegaConf.select(config, group.replace("/", ".")) == {"name": name}
