"""Options that every config.json may have, in addition to those of its family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.keys import Key
from zoo.hub.window_keys import FULL

_IDLE = """
    model_type architectures transformers_version adapters_version torch_dtype dtype _name_or_path
    name_or_path auto_map use_cache is_encoder_decoder output_attentions output_hidden_states
    output_past return_dict torchscript attn_implementation _attn_implementation
    _attn_implementation_autoset use_bfloat16 tf_legacy_loss tokenizer_class problem_type id2label
    label2id num_labels finetuning_task task_specific_params classifier_dropout initializer_range
    initializer_factor gradient_checkpointing chunk_size_feed_forward pad_token_id bos_token_id
    eos_token_id sep_token_id cls_token_id mask_token_id unk_token_id decoder_start_token_id
    forced_bos_token_id forced_eos_token_id prefix begin_suppress_tokens suppress_tokens bad_words_ids
    max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty
    temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size
    encoder_no_repeat_ngram_size num_return_sequences output_scores return_dict_in_generate
    remove_invalid_values exponential_decay_length_penalty
"""
"""Provenance, ids of special tokens, generation settings, and labels of tasks."""
COMMON: tuple[Key, ...] = (
    Fixed("is_decoder", False, False),
    Fixed("add_cross_attention", False, False),
    Fixed("pruned_heads", {}),
    Passthrough(tuple(_IDLE.split())),
)


@final
@dataclass(frozen=True)
class AllFull(Key):
    """``layer_types`` of a family without windows: every layer has full attention."""

    theirs: str = "layer_types"

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Refuses any other type of layer."""
        types = theirs.take_any(self.theirs)
        if types is not None and not (isinstance(types, list) and set(map(str, types)) <= {FULL}):
            theirs.refuse(self.theirs, f"must be {FULL} for each layer of this family", types)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes nothing, since absence means the same."""


SHARED: tuple[Fixed | AllFull, ...] = (
    Fixed("is_causal", True),
    Fixed("sliding_window", None),
    Fixed("attention_chunk_size", None),
    Fixed("per_layer_config", None),
    Fixed("kv_sharing_modes", None),
    AllFull(),
)
"""Options that masks and caches of transformers read for every decoder; a family's own key takes precedence."""
