"""Windows and rotary positions as configs of several ages say them, and what none may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from zoo.checks import Refused
from zoo.hub.config_json import read_published_config
from zoo.model.plan import LayerPlan

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
FULL, SLIDING = "full_attention", "sliding_attention"


def layers(model_type: str, **options: Any) -> tuple[LayerPlan, ...]:
    return read_published_config({"model_type": model_type, **SIZES, **options}).plan.stacks[0].layers


def windows(model_type: str, **options: Any) -> list[int | None]:
    return [layer.attention.options["scores"]["window"] for layer in layers(model_type, **options)]


def turns(**options: Any) -> list[tuple[float, Mapping[str, Any]]]:
    return [(each.position.options["base"], each.position.options["scaling"]) for each in layers(**options)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"model_type": "mistral"}, [4096] * 6),
        ({"model_type": "mistral", "sliding_window": None}, [None] * 6),
        ({"model_type": "qwen2", "sliding_window": 7}, [None] * 6),
        ({"model_type": "qwen2", "sliding_window": 7, "use_sliding_window": True}, [None] * 6),  # 28 layers see all
        (
            {"model_type": "qwen3", "sliding_window": 7, "use_sliding_window": True, "max_window_layers": 4},
            [None] * 4 + [7] * 2,
        ),
        ({"model_type": "gemma2", "sliding_window": 7}, [7, None] * 3),
        ({"model_type": "gemma3_text", "sliding_window": 7}, [7] * 5 + [None]),
        ({"model_type": "gemma3_text", "sliding_window": 7, "sliding_window_pattern": 3}, [7, 7, None] * 2),
        (
            {"model_type": "gemma3_text", "sliding_window": 7, "layer_types": [FULL] + [SLIDING] * 5},
            [None] + [7] * 5,
        ),
    ],
)
def test_layers_have_the_windows_that_a_config_gives_them(options: dict[str, Any], expected: list[int | None]) -> None:
    assert windows(**options) == expected


def test_both_ages_say_the_same_of_two_bases() -> None:
    older = turns(
        model_type="gemma3_text",
        rope_theta=500000,
        rope_local_base_freq=100,
        rope_scaling={"rope_type": "linear", "factor": 8.0},
    )
    newer = turns(
        model_type="gemma3_text",
        rope_parameters={
            FULL: {"rope_type": "linear", "factor": 8.0, "rope_theta": 500000.0},
            SLIDING: {"rope_type": "default", "rope_theta": 100.0},
        },
    )
    assert older == newer
    assert [base for base, _ in older] == [100.0] * 5 + [500000.0]
    assert [scaling["kind"] for _, scaling in older] == ["none"] * 5 + ["linear"]
    assert older[-1][1]["factor"] == 8.0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"model_type": "gemma2", "layer_types": [FULL] * 5}, "for each of 6 layers"),
        ({"model_type": "gemma2", "layer_types": [FULL] * 5 + ["chunked_attention"]}, "chunked_attention"),
        ({"model_type": "qwen2", "layer_types": [FULL] * 5 + [SLIDING]}, "sliding_window must be given"),
        ({"model_type": "qwen2", "max_window_layers": -1}, "max_window_layers must be at least 0: got -1"),
        ({"model_type": "gemma3_text", "sliding_window_pattern": 0}, "sliding_window_pattern must be at least 1"),
        ({"model_type": "gemma3_text", "attn_logit_softcapping": 50.0}, "attn_logit_softcapping must be None"),
        ({"model_type": "gemma3_text", "rope_parameters": {"rope_theta": 1e6}}, "must be mappings for"),
        ({"model_type": "gemma", "use_bidirectional_attention": True}, "use_bidirectional_attention must be False"),
        ({"model_type": "gemma2", "query_pre_attn_scalar": 0}, "query_pre_attn_scalar must be positive"),
        ({"model_type": "qwen2", "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type must be one of"),
        (
            {
                "model_type": "mistral",
                "rope_parameters": {"rope_type": "linear", "factor": 2.0},
                "rope_scaling": {"type": "linear", "factor": 4.0},
            },
            "rope_scaling must agree with rope_parameters in factor",
        ),
        ({"model_type": "mistral", "is_causal": False}, "is_causal must be True"),
    ],
)
def test_what_a_config_may_not_say_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(Refused, match=r"^config\.json: ") as caught:
        layers(**options)
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
