"""Every YAML of ``conf`` composes; every preset takes a step; every component can be put into every preset."""

from __future__ import annotations

import copy
import functools
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.command import ON_CPU, checked
from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.config.data_and_objective import make_objective
from zoo.config.groups import list_slots
from zoo.model.build import assemble, check, load_component_class
from zoo.model.inputs import Inputs
from zoo.model.schema import SLOTS
from zoo.registry import get_index
from zoo.runs.config_sections import Target
from zoo.system.installation import find_package_folder
from zoo.testing.objective_checks import prepare
from zoo.training.run import prepare_data

MODELS = sorted(
    str(file.relative_to(find_package_folder("conf") / "model").with_suffix(""))
    for file in (find_package_folder("conf") / "model").rglob("*.yaml")
    if file.stem != "hub"  # which is whatever lies in a folder
)
GROUPS = ("optimizer", "schedule", "logger", "callbacks", "trainer", "data", "objective")
FAMILIES = [name for name in MODELS if "/" not in name]
NARROW = ["model.dim=32", "model.heads=2", "model.hidden=32"]


@functools.cache
def composed(model: str) -> dict[str, Any]:
    """What a preset says of a model; Hydra composes it once."""
    given: dict[str, Any] = compose_run([f"model={model}"])["model"]
    return given


def objective_of(model: str) -> list[str]:
    """The variant's own, but causal_lm for a decoder some of whose layers cannot see a prefix both ways."""
    _, plan, _ = check(composed(model))
    assert plan is not None
    sees = [load_component_class(layer.attention).supports for stack in plan.stacks for layer in stack.layers]
    return [] if plan.variant != "decoder" or all("prefix" in seen for seen in sees) else ["objective=causal_lm"]


def choices(group: str) -> list[str]:
    return sorted(file.stem for file in (find_package_folder("conf") / group).glob("*.yaml"))


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Documents and pairs, small."""
    text = tmp_path_factory.mktemp("data") / "text.txt"
    text.write_text("\n\n".join(f"Work number {i} and no play." for i in range(60)))
    documents = ["data=text", f"data.path={text}", "data.unit=paragraph", "data/tokenizer=bytes"]
    return {"documents": [*documents, "data.length=32"], "pairs": ["data=numbers", "data.limit=100", "data.length=64"]}


@pytest.mark.parametrize("model", MODELS)
def test_every_preset_composes_and_is_a_model(model: str) -> None:
    _, plan, problems = check(composed(model))
    assert problems == []
    assert plan is not None
    with torch.device("meta"):
        assert assemble(plan, 512).vocabulary == (plan.vocabulary or 512)


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_of_a_family_differ_in_numbers_only(family: str) -> None:
    base = composed(family)
    sizes = [composed(model) for model in MODELS if model.startswith(f"{family}/")]
    assert sizes
    for size in sizes:
        assert size["dim"] != base["dim"]
        assert {slot: size[slot]["name"] for slot in SLOTS} == {slot: base[slot]["name"] for slot in SLOTS}
        assert size["variant"] == base["variant"]


@pytest.mark.parametrize("form", ["documents", "pairs"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_a_step_with_its_own_objective(family: str, form: str, forms: dict[str, list[str]]) -> None:
    run = checked(f"model={family}", *NARROW, *forms[form], *objective_of(family), *ON_CPU)
    prepared = prepare_data(run.config)
    torch.manual_seed(0)
    assert run.plan is not None
    model = assemble(run.plan, prepared.vocabulary.size)
    objective = make_objective(run.config, prepared.vocabulary)
    view = prepare(objective, prepared.train.get_batch(range(4)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(2):
        model.eval()
        loss = objective.loss(model, view)["cross_entropy"]
        losses.append(loss.item())
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
    assert losses[1] < losses[0]


@pytest.mark.parametrize("family", ["gpt2", "llama3", "gemma2", "bert", "modernbert", "t5"])
def test_a_model_compiled_is_one_graph(family: str) -> None:
    """With rows of two documents and padding; a break in what all layers share would cut every model into pieces."""
    _, plan, _ = check({**composed(family), "layers": 2})
    assert plan is not None
    model = assemble(plan, 32).eval()
    tokens, segment = torch.arange(12).view(2, 6), torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, -1, -1]])
    source = {"source": tokens, "source_segment": segment} if plan.variant == "encoder_decoder" else {}
    inputs = Inputs(tokens, segment, **source)
    with torch.no_grad():
        hidden = torch.compile(model.compute_hidden, backend="eager", fullgraph=True)(inputs)
    torch.testing.assert_close(hidden, model.compute_hidden(inputs))


# ----------------------------------------------------------------------------------------------------- other groups


@pytest.mark.parametrize(
    ("group", "choice"),
    [(group, name) for group in GROUPS for name in choices(group)],
)
def test_every_file_of_the_other_groups_composes_and_checks(group: str, choice: str) -> None:
    given = compose_run([f"{group}={choice}"])
    problems = check_run(given).problems
    if problems and group == "logger" and importlib.util.find_spec(choice) is None:
        assert f"pip install 'transformer-zoo[{choice}]'" in problems[0]
        pytest.skip(f"{choice} is not installed: seen to be refused with the name of its extra")
    assert problems == ()


@pytest.mark.parametrize("name", [name for name in choices("logger") if name != "none"])
def test_every_logger_is_made_or_its_extra_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.checks import Refused
    from zoo.training import run

    given = compose_run([f"logger={name}", f"runs={tmp_path}"])["logger"][name]
    target = Target.from_mapping(given)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    if importlib.util.find_spec(name) is None:
        with pytest.raises(Refused, match=rf"^logger\.{name}: .*: pip install 'transformer-zoo\[{name}\]'$"):
            run._build_target("logger", name, target)
        pytest.skip(f"{name} is not installed: seen to be refused with the name of its extra")
    run._build_target("logger", name, target)


# ---------------------------------------------------------------------------------------------------- any component


@pytest.mark.parametrize("preset", FAMILIES)
def test_any_component_fits_into_any_preset_or_is_refused_with_a_reason(preset: str) -> None:
    """In every slot, whatever the preset says of the part that stood there."""
    given = compose_run([f"model={preset}", "data=numbers", "data.length=64", *objective_of(preset)])
    accepted = set()
    for group, kind in list_slots():
        for name in get_index().get_names(kind) if kind in SLOTS else ():
            *parents, slot = group.split("/")
            swapped = copy.deepcopy(given)
            functools.reduce(lambda at, key: at.setdefault(key, {}), parents, swapped)[slot] = {"name": name}
            problems = check_run(swapped).problems
            if not problems:
                accepted.add((kind, name))
                continue
            for line in problems:
                assert line.startswith("model.")
                assert any(reason in line for reason in REASONS), problems
    for kind in SLOTS:
        assert len([name for found, name in accepted if found == kind]) >= 2


REASONS = ("would change nothing", "only an encoder_decoder has it", "does not support", "both are none")


@pytest.mark.parametrize("number", range(max(len(get_index().get_names(kind)) for _, kind in list_slots())))
def test_every_choice_from_the_command_line_replaces_the_part(number: int) -> None:
    """All slots of both stacks at once, each with the number-th component of its kind."""
    names = {
        group: get_index().get_names(kind)[number % len(get_index().get_names(kind))] for group, kind in list_slots()
    }
    given = compose_run(["model=llama", *(f"{group}={name}" for group, name in names.items())])
    for group, name in names.items():
        part = functools.reduce(lambda at, key: at[key], group.split("/"), given)
        kind = dict(list_slots())[group]
        options = {option.name for option in get_index().get(kind, name).options}
        assert part["name"] == name
        assert part.keys() - {"name"} <= options, "options that the part before had too stay"


def test_choosing_a_component_empties_the_slot() -> None:
    given = compose_run(["model=llama", "model/attention=multi_head"])["model"]
    assert given["attention"] == {"name": "multi_head"}
    again = compose_run(["model=llama", "model/attention=multi_head", "model.attention.bias=all"])["model"]
    assert again["attention"] == {"name": "multi_head", "bias": "all"}
    assert compose_run(["model=llama"])["model"]["attention"] == {"name": "grouped_query", "kv_heads": 2}


def windows(*overrides: str) -> list[int | None]:
    plan = checked(*overrides, "data=pydocs").plan
    assert plan is not None
    return [(layer.attention.options.get("scores") or {}).get("window") for layer in plan.stacks[0].layers]


def test_an_exception_of_a_preset_is_overridden_or_taken_back() -> None:
    assert windows("model=local_global") == [64] * 5 + [None]
    assert windows("model=local_global", "model.exceptions.global.every=3") == [64, 64, None] * 2
    assert windows("model=local_global", "model.exceptions.global=null") == [64] * 6
    assert windows("model=local_global", "model.exceptions.global.attention.scores.window=128") == [64] * 5 + [128]
    assert windows("model=local_global", "+model.exceptions.low={first: 1, heads: 2}") == [64] * 5 + [None]


def test_layers_of_presets_differ_as_they_say() -> None:
    plans = [checked(f"model={name}", "data=pydocs").plan for name in ("local_global", "moe_after_dense", "hybrid")]
    (far,), (mixture,), (hybrid,) = (plan.stacks for plan in plans if plan is not None)
    assert [layer.position.options["base"] for layer in far.layers] == [1e4] * 5 + [1e6]
    assert [(layer.ffn.name, layer.hidden) for layer in mixture.layers] == [("gated", 704)] + [("moe", 128)] * 3
    attention = [(layer.attention.name, layer.position.name) for layer in hybrid.layers]
    assert attention == [("gated_delta", "none")] * 3 + [("grouped_query", "rotary")]


@pytest.mark.parametrize("slot", ["attention=multi_head", "position=learned"])
def test_a_part_that_exceptions_write_over_can_be_replaced(slot: str) -> None:
    """They name the part that they mean: other layers have what was chosen, and those of the exception their own."""
    plan = checked("model=local_global", f"model/{slot}", "data=pydocs").plan
    assert plan is not None
    kind, name = slot.split("=")
    found = [getattr(layer, kind).name for layer in plan.stacks[0].layers]
    assert found == [name] * 5 + [{"attention": "grouped_query", "position": "rotary"}[kind]]


def test_a_size_keeps_what_its_family_says_of_a_part() -> None:
    assert compose_run(["model=llama/small"])["model"]["attention"] == {"name": "grouped_query", "kv_heads": 4}


def test_stacks_and_cross_attention_are_chosen_apart() -> None:
    chosen = [
        "model/encoder/ffn=gated",
        "model/decoder/norm=rms",
        "model/cross=grouped_query",
        "model.cross.kv_heads=1",
    ]
    plan = checked("model=transformer", *chosen, "data=numbers").plan
    assert plan is not None
    encoder, decoder = plan.stacks
    assert (encoder.base.ffn.name, decoder.base.ffn.name) == ("gated", "mlp")
    assert (encoder.base.norm.name, decoder.base.norm.name) == ("layer", "rms")
    assert decoder.cross is not None
    assert (decoder.cross.name, decoder.cross.options["kv_heads"]) == ("grouped_query", 1)
    assert (encoder.base.attention.name, decoder.base.attention.name) == ("multi_head", "multi_head")


def test_the_data_s_tokenizer_is_chosen_like_a_part() -> None:
    given = compose_run(["data=pydocs", "data/tokenizer=bytes"])["data"]
    assert given["tokenizer"] == {"name": "bytes"}
