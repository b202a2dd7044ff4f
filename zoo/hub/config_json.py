"""Reads and writes the config.json of published families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.checks import Refused
from zoo.hub.architectures import choose_architecture, complete_form, find_body_class
from zoo.hub.common_keys import COMMON, SHARED
from zoo.hub.config_views import ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.family import Family, Form
from zoo.hub.family_index import find_family, get_families
from zoo.hub.quantization import Quantization, read_quantization
from zoo.hub.task_heads import KeptHead
from zoo.hub.text_config import map_inner_names, unwrap_text_config
from zoo.model.build import check
from zoo.model.plan import ModelPlan


@dataclass(frozen=True)
class ConfigDescription:
    """What a config.json says.

    Args:
        family: whose it is.
        plan: the model.
        kept: its options that change nothing of what the model computes.
        ignored: its options that neither the family nor transformers reads, each as it is named to a person.
        quantization: how the weights are stored; None where they are plain.
        task: its task head, which is no part of the model.
        prefixes: prefixes of tensor names in this checkpoint, and those in other checkpoints of the family.
        published_head: the head that the family's models have, as a model config, also where this one has none.
        wrapper_type: the ``model_type`` of the multimodal model that contains this language model, if any.
    """

    family: Family
    plan: ModelPlan
    kept: Mapping[str, Any]
    ignored: tuple[str, ...] = ()
    quantization: Quantization | None = None
    task: KeptHead | None = None
    prefixes: Mapping[str, str] = field(default_factory=dict)
    published_head: Mapping[str, Any] = field(default_factory=dict)
    wrapper_type: str | None = None

    def list_notes(self) -> list[str]:
        """What a person should know beside the model, one line each."""
        notes = []
        if self.wrapper_type is not None:
            name = self.family.name
            notes.append(f"only the language model of this {self.wrapper_type} is read; it will be saved as {name}")
        if self.ignored:
            notes.append(f"ignored, since {self.family.name} does not use them: {', '.join(self.ignored)}")
        if self.quantization is not None:
            notes.append(f"the weights are quantized ({self.quantization}); sizes are those of dequantized weights")
        return notes


def read_published_config(config: Mapping[str, Any], names: Sequence[str] | None = None) -> ConfigDescription:
    """What a config.json of a published family says.

    Args:
        config: its content.
        names: of the tensors beside it, which tell what an architecture leaves open.
    Raises:
        Refused: with all that is wrong with it, one a line: a family that is not known, a value that does not make
            sense or that no component computes.
    """
    wrapped = unwrap_text_config(config, {name: find_body_class(family) for name, family in get_families().items()})
    config = config if wrapped is None else wrapped.config
    family = find_family(config.get("model_type"))
    names = names if wrapped is None or names is None else list(map_inner_names(names, family.prefix))
    source, draft = PublishedConfig(config, tensors=names), ConfigDraft(family.base)
    _read_keys(family, source, draft)
    quantization = read_quantization(source)
    architecture, form = choose_architecture(family, config, source)
    form = complete_form(family, form, names)
    published_head = draft.config.get("head") or {}
    if not form.head:
        draft.config["head"] = None
    if form.pooler:
        draft.config["pooler"] = True
    source.raise_problems()
    _, plan, problems = check(draft.config)
    if problems or plan is None:
        raise Refused("\n".join(f"config.json describes no model: {line}" for line in problems))
    ignored = source.find_ignored()
    kept = (family.passthrough | set(ignored)) - {
        "auto_map"
    }  # auto_map names code, which neither runs here nor travels
    options = {name: value for name, value in config.items() if name in kept}
    task, head = (
        form.task,
        None if form.task is None else KeptHead(architecture, form.task.compute_shapes(config, plan.dim)),
    )
    prefixes = {} if task is None or task.prefix is None else {task.prefix: family.prefix}
    wrapper_type = None if wrapped is None else wrapped.wrapper_type
    return ConfigDescription(
        family, plan, options, tuple(ignored.values()), quantization, head, prefixes, published_head, wrapper_type
    )


def get_known_options(family: Family) -> frozenset[str]:
    """Names of the options that a family's keys read; any other is ignored."""
    source = PublishedConfig({"architectures": None})
    _read_keys(family, source, ConfigDraft(family.base))
    return source.taken


def write_published_config(
    family: Family, plan: ModelPlan, kept: Mapping[str, Any], architecture: str | None = None
) -> dict[str, Any]:
    """The config.json of a plan that fits a family.

    Args:
        family: whose it shall be.
        plan: of a model that fits.
        kept: options that change nothing of what the model computes; one that a key of the family reads is left out.
        architecture: the class; None for the one that the form of the model says.
    """
    composed = PlanValues(plan)
    theirs: dict[str, Any] = {
        **{name: value for name, value in kept.items() if name in family.passthrough},
        "model_type": family.name,
        "architectures": [architecture or family.find_architecture(Form(plan.head is not None, plan.pooler))],
    }
    for key in family.keys:
        key.write(composed, theirs)
    _read_keys(family, source := PublishedConfig(theirs), ConfigDraft(family.base))
    return {**{name: value for name, value in kept.items() if name not in source.taken}, **theirs}


def _read_keys(family: Family, source: PublishedConfig, draft: ConfigDraft) -> None:
    """Let every key of a family read what it understands."""
    for key in (*COMMON, *family.keys):
        key.read(source, draft)
    for shared in SHARED if family.base["variant"] == "decoder" else ():
        if shared.theirs not in source.taken:
            shared.read(source, draft)
