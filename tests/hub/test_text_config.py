"""Models of several modalities: the language model inside is read, under older and newer names, and saved alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.hub.oracle import Case, made
from zoo.checks import Refused
from zoo.hub import load_network, save
from zoo.hub.config_json import read_published_config

TOKENS = torch.tensor([[7, 9, 12, 7, 30, 21, 40], [8, 8, 6, 31, 7, 40, 9]])
TEXT: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [2, 3, 3]}}
QWEN = {key: value for key, value in TEXT.items() if key != "head_dim"}
QWEN_ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [1, 1, 2]}}
GLM_ROPE = {"rope_parameters": {"rope_theta": 100.0, "partial_rotary_factor": 0.5, "mrope_section": [1, 1]}}
TOWER = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION: dict[str, Any] = {**TOWER, "patch_size": 14, "image_size": 28}
QWEN_VISION = {"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "patch_size": 14}
QWEN_2_5_VISION = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32}
QWEN_3_VISION = {**QWEN_2_5_VISION, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
CLIP = {"model_type": "clip_vision_model", "projection_dim": 16, **VISION}
WHOLES: dict[str, tuple[str, dict[str, Any]]] = {
    "Gemma3": ("gemma3_text", {"text_config": {**TEXT, "sliding_window": 5}, "vision_config": VISION}),
    "Llava": ("llama", {"text_config": {"model_type": "llama", **TEXT}, "vision_config": CLIP}),
    "Qwen2VL": ("qwen2", {"text_config": {**QWEN, **QWEN_ROPE}, "vision_config": QWEN_VISION}),
    "Qwen2_5_VL": ("qwen2", {"text_config": {**QWEN, **QWEN_ROPE}, "vision_config": QWEN_2_5_VISION}),
    "Qwen3VL": ("qwen3", {"text_config": {**TEXT, **MROPE}, "vision_config": QWEN_3_VISION}),
    "Glm4v": ("glm4", {"text_config": {**QWEN, **GLM_ROPE}, "vision_config": QWEN_2_5_VISION}),
}


def whole(name: str, **options: Any) -> Any:
    kind: Any = getattr(transformers, f"{name}ForConditionalGeneration")
    return made(Case(name, lambda: kind.config_class(**WHOLES[name][1], **options), kind))


def older(name: str) -> str:
    """As tensors were called before version 4.52."""
    if name.startswith("model.language_model."):
        return "language_model.model." + name.removeprefix("model.language_model.")
    return f"language_model.{name}" if name.startswith("lm_head.") else name.removeprefix("model.")


@pytest.mark.parametrize("name", WHOLES)
@torch.no_grad()
def test_the_language_model_is_read_and_saved_alone(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = whole(name)
    theirs.save_pretrained(tmp_path / "whole", save_original_format=False)
    with caplog.at_level(logging.WARNING, "zoo"):
        model: Any = load_network(tmp_path / "whole")
    family = WHOLES[name][0]
    kind = theirs.config.model_type
    assert f"only the language model of this {kind} is read; it will be saved as {family}" in caplog.text
    expected = theirs(input_ids=TOKENS).logits
    torch.testing.assert_close(model(TOKENS), expected, atol=1e-5, rtol=0)
    save(model, tmp_path / "alone")
    alone, info = AutoModelForCausalLM.from_pretrained(
        tmp_path / "alone", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert alone.config.model_type == family
    torch.testing.assert_close(alone.eval()(TOKENS).logits, expected, atol=1e-5, rtol=0)
    tensors = load_file(tmp_path / "whole" / "model.safetensors")
    save_file({older(key): tensor for key, tensor in tensors.items()}, tmp_path / "whole" / "model.safetensors")
    torch.testing.assert_close(load_network(tmp_path / "whole")(TOKENS), model(TOKENS), atol=0, rtol=0)
    del tensors[next(key for key in tensors if "language_model.layers.1" in key)]
    save_file(tensors, tmp_path / "whole" / "model.safetensors")
    with pytest.raises(Refused, match=r"layers\.1\.\S+ is missing"):
        load_network(tmp_path / "whole")


def test_older_files_say_the_options_of_text_outside() -> None:
    """Qwen2-VL-2B: everything beside ``vision_config``; and what the whole ties is tied."""
    flat = {**QWEN, "model_type": "qwen2_vl", "architectures": ["Qwen2VLForConditionalGeneration"]}
    flat |= {"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}, "vision_config": QWEN_VISION}
    described = read_published_config({**flat, "tie_word_embeddings": True})
    assert (described.family.name, described.wrapper_type) == ("qwen2", "qwen2_vl")
    assert described.plan.head is not None
    assert described.plan.head["tied"]
    assert read_published_config({**flat, "architectures": ["Qwen2VLModel"]}).plan.head is None
    inner = {"model_type": "llava", "text_config": {"model_type": "llama", "vocab_size": 32064}}
    plan = read_published_config(inner).plan
    assert (plan.dim, plan.vocabulary) == (4096, 32064)  # LLaVA 1.5 leaves what is as by default unsaid
    for wrong, line in (
        ({"model_type": "llama4", "text_config": {"model_type": "llama4_text"}}, "unknown model_type 'llama4_text'"),
        ({**flat, "architectures": ["Qwen2VLForImages"]}, "must be a class that generates text"),
        ({"model_type": "gemma3", "text_config": 3}, "unknown model_type 'gemma3'"),
        ({"hidden_size": 256}, "must name its model_type: got none; add the key with one of albert, bart, bert"),
    ):
        with pytest.raises(Refused, match=line):
            read_published_config(wrong)
