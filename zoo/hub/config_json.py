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
    """The content of a config.json.

    Args:
        family: the family.
        plan: the model.
        kept: options that do not affect what the model computes.
        ignored: options that neither the family nor transformers reads, formatted for messages.
        quantization: how the weights are quantized; None if they are not.
        task: the task head, which is not part of the model.
        prefixes: prefixes of tensor names in this checkpoint, and those in other checkpoints of the family.
        published_head: config of the head in the family's models, even if this model has no head.
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
        """Lists remarks for the user, one line each."""
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
    """Reads a config.json of a published family.

    Args:
        config: content of the file.
        names: names of the checkpoint's tensors, which decide what the config leaves open.
    Raises:
        Refused: with all problems, one a line: an unknown family, or a value that is invalid or that no component
            supports.
    """
    wrapped = unwrap_text_config(config, {name: find_body_class(family) for name, family in get_families().items()})
    config = config if wrapped is None else wrapped.config
    if config.get("model_type") is None:  # transformers before version 3 wrote none
        known = ", ".join(get_families())
        raise Refused(f"config.json must name its model_type: got none; add the key with one of {known}")
    family = find_family(config["model_type"])
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
        raise Refused("\n".join(f"config.json does not describe a valid model: {line}" for line in problems))
    ignored = source.find_ignored()
    # auto_map names custom code, which is neither run nor saved.
    kept = (family.passthrough | set(ignored)) - {"auto_map"}
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
    """Returns the names of the options that a family's keys read; any other is ignored."""
    source = PublishedConfig({"architectures": None})
    _read_keys(family, source, ConfigDraft(family.base))
    return source.taken


def write_published_config(
    family: Family, plan: ModelPlan, kept: Mapping[str, Any], architecture: str | None = None
) -> dict[str, Any]:
    """Returns the config.json of a model in a family.

    Args:
        family: the family.
        plan: the model, which must fit the family.
        kept: options that do not affect what the model computes; those that a key of the family reads are left out.
        architecture: name of the class; None for the one that matches the model.
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
    """Reads a config with every key of a family."""
    for key in (*COMMON, *family.keys):
        key.read(source, draft)
    for shared in SHARED if family.base["variant"] == "decoder" else ():
        if shared.theirs not in source.taken:
            shared.read(source, draft)
