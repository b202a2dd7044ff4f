"""Multimodal checkpoints: finds the language model in them by its ``text_config`` and its tensor names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.checks import Refused

TEXT_TYPES = {
    "qwen2_vl_text": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe_text": "qwen3_moe",
    "glm4v_text": "glm4",
}
"""Language models that equal another family for text tokens, whose rotary positions are the same on all axes."""
FLAT_TYPES = {"qwen2_vl": "qwen2", "qwen2_5_vl": "qwen2", "glm4v": "glm4"}
"""Model types whose older configs have the language model's options at the top level, beside ``vision_config``."""
_OF_OTHERS = ("vision_config", "audio_config", "text_config", "model_type", "architectures")
_CARRIED = ("tie_word_embeddings", "quantization_config", "dtype", "torch_dtype", "bos_token_id", "eos_token_id")
_INSIDE = ("model.language_model.", "language_model.")
"""Prefixes of the language model's tensors, in newer and in older files."""


@dataclass(frozen=True)
class InnerConfig:
    """The language model inside a multimodal model.

    Attributes:
        wrapper_type: the ``model_type`` of the whole model.
        config: config.json of the language model alone.
    """

    wrapper_type: str
    config: Mapping[str, Any]


def unwrap_text_config(config: Mapping[str, Any], bodies: Mapping[str, str]) -> InnerConfig | None:
    """Returns the language model inside a multimodal one; None if the config is that of a language model.

    Args:
        config: content of config.json.
        bodies: the name of the class without a head, for each known ``model_type``.
    Raises:
        Refused: if the inner model or the architecture is not supported.
    """
    wrapper, inside = config.get("model_type"), config.get("text_config")
    if not isinstance(wrapper, str) or wrapper in bodies:
        return None
    if isinstance(inside, Mapping):
        kind = TEXT_TYPES.get(str(inside.get("model_type")), inside.get("model_type"))
        carried = {name: config[name] for name in _CARRIED if config.get(name) is not None}
        found = {**carried, **inside} | {name: config[name] for name in _CARRIED[:1] if config.get(name) is not None}
    elif wrapper in FLAT_TYPES:
        kind = FLAT_TYPES[wrapper]
        found = {name: value for name, value in config.items() if name not in _OF_OTHERS}
    else:
        return None
    if kind == "glm4" and wrapper != kind:
        found["head_dim"] = _divide(found.get("hidden_size"), found.get("num_attention_heads"))
    if not isinstance(kind, str) or kind not in bodies:
        raise Refused(f"config.json: text_config of {wrapper}: unknown model_type {kind!r}")
    return InnerConfig(wrapper, {**found, "model_type": kind, "architectures": _choose_class(config, bodies[kind])})


def _divide(dim: Any, heads: Any) -> Any:
    """Returns the features of a head, which configs of GLM-4V do not contain."""
    return dim // heads if isinstance(dim, int) and isinstance(heads, int) and heads > 0 else None


def _choose_class(config: Mapping[str, Any], body: str) -> list[str] | None:
    """Returns the class of the language model: its body if the whole model has no logits, else None (with a head)."""
    given = config.get("architectures")
    name = str(given[0]) if isinstance(given, list) and len(given) == 1 else ""
    if name.endswith("Model"):
        return [body]
    if name and not name.endswith(("ForConditionalGeneration", "ForCausalLM")):
        raise Refused(f"config.json: architectures must be a class that generates text, or its body: got {given!r}")
    return None


def map_inner_names(names: Iterable[str], prefix: str) -> dict[str, str]:
    """Maps tensor names of the language model to their names in the multimodal checkpoint.

    Args:
        names: names of all tensors in the checkpoint.
        prefix: prefix of the body's tensors in a checkpoint of the language model alone.
    """
    names = list(names)
    if not any(name.startswith(_INSIDE) for name in names):
        return {name: name for name in names if name.startswith((prefix, "lm_head."))}
    newer, older = _INSIDE
    found = {}
    for name in names:
        if name.startswith(newer):
            found[prefix + name.removeprefix(newer)] = name
        elif name.startswith(older):
            found[name.removeprefix(older)] = name
        elif name.startswith("lm_head."):
            found[name] = name
    return found
