"""Mixtures of experts against those of transformers: forward, and gradients of input and every weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zoo.checks import Refused
from zoo.components.ffn._router import Router
from zoo.components.ffn.gated import Gated
from zoo.components.ffn.moe import Moe
from zoo.model.mask import Mask, Tokens

DIM, HIDDEN, EXPERTS = 6, 5, 8
Tensors = Mapping[str, Tensor]


def usual(given: Tensors) -> dict[str, Tensor]:
    """Names and shapes of most families in ours; gradients go the same way as weights."""
    out = {
        "router.logits.weight": given["gate.weight"],
        "experts.gate.weight": given["experts.gate_up_proj"][:, :HIDDEN],
        "experts.up.weight": given["experts.gate_up_proj"][:, HIDDEN:],
        "experts.down.weight": given["experts.down_proj"],
    }
    for name, tensor in given.items():
        if name.startswith("shared_expert_gate."):
            out["shared_gate.weight"] = tensor
        elif name.startswith("shared_expert"):
            _, layer, kind = name.split(".")
            out[f"shared.{layer.removesuffix('_proj')}.{kind}"] = tensor
        elif name.endswith("e_score_correction_bias"):
            out["router.correction"] = tensor.view(-1)
    return out


def gpt_oss(given: Tensors) -> dict[str, Tensor]:
    """Gate and up take turns, and matrices are the other way round."""
    out = {f"router.logits.{kind}": given[f"router.{kind}"] for kind in ("weight", "bias")}
    for start, name in enumerate(("gate", "up")):
        out[f"experts.{name}.weight"] = given["experts.gate_up_proj"][..., start::2].mT
        out[f"experts.{name}.bias"] = given["experts.gate_up_proj_bias"][:, start::2]
    return out | {
        "experts.down.weight": given["experts.down_proj"].mT,
        "experts.down.bias": given["experts.down_proj_bias"],
    }


@dataclass(frozen=True)
class Family:
    """A block of transformers, its config, and the same in our options."""

    module: str
    block: str
    config: dict[str, Any]
    router: Router
    options: dict[str, Any] = field(default_factory=dict)
    exchange: Callable[[Tensors], dict[str, Tensor]] = usual


SHARED = {"n_shared_experts": 2}
GROUPS = {"n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.5}
OURS = {"groups": 4, "top_groups": 2, "scaling": 2.5}
FAMILIES = {
    "mixtral": Family("mixtral", "MixtralSparseMoeBlock", {"intermediate_size": HIDDEN}, Router(top_k=3)),
    "qwen3": Family("qwen3_moe", "Qwen3MoeSparseMoeBlock", {"norm_topk_prob": True}, Router(top_k=3)),
    "qwen3_as_is": Family(
        "qwen3_moe", "Qwen3MoeSparseMoeBlock", {"norm_topk_prob": False}, Router(top_k=3, normalize=False)
    ),
    "qwen2": Family(
        "qwen2_moe",
        "Qwen2MoeSparseMoeBlock",
        {"norm_topk_prob": False, "shared_expert_intermediate_size": 3 * HIDDEN},
        Router(top_k=3, normalize=False),
        {"shared": 3, "shared_gate": True},
    ),
    "deepseek_v2": Family(
        "deepseek_v2",
        "DeepseekV2Moe",
        {**SHARED, **GROUPS, "topk_method": "group_limited_greedy"},
        Router(top_k=3, normalize=False, **OURS),
        {"shared": 2},
    ),
    "deepseek_v2_lite": Family(
        "deepseek_v2",
        "DeepseekV2Moe",
        {**SHARED, "topk_method": "greedy", "routed_scaling_factor": 1.0},
        Router(top_k=3, normalize=False),
        {"shared": 2},
    ),
    "deepseek_v3": Family(
        "deepseek_v3",
        "DeepseekV3MoE",
        {**SHARED, **GROUPS, "norm_topk_prob": True},
        Router("sigmoid", 3, group_score="top_two", correction=0.0, **OURS),
        {"shared": 2},
    ),
    "glm4": Family(
        "glm4_moe",
        "Glm4MoeMoE",
        {"n_shared_experts": 1, "n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.5, "norm_topk_prob": True},
        Router("sigmoid", 3, scaling=2.5, correction=0.0),
        {"shared": 1},
    ),
    "ernie4_5": Family(
        "ernie4_5_moe",
        "Ernie4_5_MoeSparseMoeBlock",
        {"moe_num_experts": EXPERTS, "moe_k": 3, "moe_num_shared_experts": 2, "use_bias": False},
        Router(top_k=3, correction=0.0),
        {"shared": 2},
    ),
    "gpt_oss": Family(
        "gpt_oss",
        "GptOssMLP",
        {"intermediate_size": HIDDEN, "swiglu_limit": 0.9},
        Router(top_k=3, learned_bias=True),
        {"activation": "quick_gelu", "bias": True, "clamp": 0.9, "up_offset": 1.0},
        gpt_oss,
    ),
}


def theirs(family: Family) -> nn.Module:
    """Their block with random weights, also of the correction."""
    module = import_module(f"transformers.models.{family.module}.modeling_{family.module}")
    sizes = {"hidden_size": DIM, "moe_intermediate_size": HIDDEN, "num_experts_per_tok": 3, "num_attention_heads": 2}
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    config_class = next(
        value
        for name, value in vars(module).items()
        if name.endswith("Config") and value.__module__.startswith(f"transformers.models.{family.module}.")
    )
    config = config_class(**{**dict.fromkeys(names, EXPERTS), **sizes, **family.config})
    config._experts_implementation = "eager"
    block: nn.Module = getattr(module, family.block)(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in block.state_dict().values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return block


def ours(block: nn.Module, family: Family, **router: Any) -> Moe:
    """The same weights in our mixture; ``router`` overrides."""
    made = Moe(DIM, HIDDEN, experts=EXPERTS, router=replace(family.router, **router), **family.options)
    state = family.exchange(block.state_dict())
    made.load_state_dict({name: state[name] for name in made.state_dict()})
    return made


def rows(length: int) -> Tensor:
    return torch.randn(2, length, DIM, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("length", [1, 7, 63])
@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_the_family_s_block(name: str, length: int) -> None:
    family = FAMILIES[name]
    block = theirs(family)
    made = ours(block, family)
    assert set(made.state_dict()) == set(family.exchange(block.state_dict())), "every weight has its place"
    results = []
    for module in (made, block):
        x = rows(length).requires_grad_()
        out = module(x, Tokens.from_length(length)) if module is made else module(x)
        out = out[0] if isinstance(out, tuple) else out
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        results.append((out, x.grad))
    # Summands of 128 and more, which nearly cancel, are known to 2^-16 = 1.5e-5 in float32.
    torch.testing.assert_close(*results, atol=2e-5, rtol=1e-5)
    given = {name: p.grad for name, p in block.named_parameters() if p.grad is not None}
    expected = family.exchange(given)
    found = {name: p.grad for name, p in made.named_parameters()}
    assert set(expected) == set(found)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_option_that_a_family_sets_matters(name: str) -> None:
    """A negative control: without it, the same weights give something else."""
    family = FAMILIES[name]
    block = theirs(family)
    x, tokens = rows(63), Tokens.from_length(63)
    out = ours(block, family)(x, tokens)
    plain = Router(top_k=2)
    for item in fields(Router):
        default, value = getattr(plain, item.name), getattr(family.router, item.name)
        if value == default or item.name in ("groups", "top_groups", "correction"):
            continue
        other = ours(block, family, **{item.name: default})(x, tokens)
        assert not torch.allclose(out, other, atol=1e-3), item.name
    if family.router.correction is not None:
        made = ours(block, family)
        assert made.router.correction is not None
        made.router.correction.zero_()
        assert not torch.allclose(out, made(x, tokens), atol=1e-3)
    if family.router.groups > 1:
        other = ours(block, family, top_groups=4)(x, tokens)
        assert not torch.allclose(out, other, atol=1e-3)


def test_gated_is_one_expert_of_gpt_oss() -> None:
    """With a single expert, which every token goes to with weight one."""
    single = {"num_experts": 1, "num_local_experts": 1, "num_experts_per_tok": 1}
    family = FAMILIES["gpt_oss"]
    block = theirs(replace(family, config=family.config | single))
    gated = Gated(DIM, HIDDEN, **family.options)
    state = gpt_oss(block.state_dict())
    gated.load_state_dict({name: state[f"experts.{name}"][0] for name in gated.state_dict()})
    x, y = rows(7).requires_grad_(), rows(7).requires_grad_()
    out, expected = gated(x, Tokens.from_length(7)), block(y)[0]
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    torch.testing.assert_close(
        torch.autograd.grad((out * weight).sum(), [x, *gated.parameters()])[0],
        torch.autograd.grad((expected * weight).sum(), [y])[0],
        atol=1e-5,
        rtol=1e-5,
    )
    for option, neutral in {"clamp": None, "up_offset": 0.0, "activation": "silu"}.items():
        other = Gated(DIM, HIDDEN, **{**family.options, option: neutral})
        other.load_state_dict(gated.state_dict())
        assert not torch.allclose(other(x, Tokens.from_length(7)), out, atol=1e-3), option


@pytest.mark.parametrize("options", [{}, {"bias": True, "shared": 2, "shared_gate": True, "clamp": 0.7}])
@pytest.mark.parametrize("top_k", [2, 5])
def test_operations_are_counted_and_idle_parameters_left_out(options: dict[str, Any], top_k: int) -> None:
    moe = Moe(DIM, HIDDEN, experts=EXPERTS, router=Router(top_k=top_k), **options).eval()
    for device in ("cpu", "meta"):
        made = moe.to(device)
        with FlopCounterMode(display=False) as counter:
            made(torch.empty(3, 7, DIM, device=device).fill_(0.5), Tokens.from_length(7, device=device))
        tokens = Tokens.from_length(7)
        assert 3 * moe.flops(Mask(tokens, tokens)) == counter.get_total_flops()
    one = sum(p.numel() for p in Moe(DIM, HIDDEN, experts=2, **options).parameters())
    none = sum(p.numel() for p in Moe(DIM, HIDDEN, experts=3, **options).parameters()) - one - DIM  # the router's row
    assert moe.count_active_parameters() == sum(p.numel() for p in moe.parameters()) - (EXPERTS - top_k) * none


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"experts": 0}, "experts must be at least 2, since one leaves no choice: got experts=0"),
        ({"shared": -1}, "shared must not be negative: got shared=-1"),
        ({"shared_gate": True}, "shared_gate needs shared experts: got shared=0"),
        ({"clamp": 0.0}, "clamp must be positive: got clamp=0.0"),
        ({"router": Router(top_k=5)}, "router.top_k must be between 1 and 4: got router.top_k=5"),
        ({"router": Router(top_k=1)}, "router.normalize must be false if router.top_k=1"),
        ({"router": Router(groups=3)}, "router.groups must divide experts: got router.groups=3, experts=4"),
        (
            {"router": Router(groups=2, top_groups=3)},
            "router.top_groups must be between 1 and 2: got router.top_groups=3",
        ),
        (
            {"router": Router(groups=2, top_k=3)},
            "router.top_k must be between 1 and 2: got router.top_k=3",
        ),
        ({"router": Router(group_score="top_two")}, "got router.groups=1, experts=4"),
        ({"router": Router(scaling=0.0)}, "router.scaling must be positive: got router.scaling=0.0"),
        ({"router": Router(correction=-1.0)}, "router.correction must not be negative: got router.correction=-1.0"),
        ({"router": Router(aux_loss=-1.0)}, "router.aux_loss must not be negative: got router.aux_loss=-1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refusal:
        Moe(DIM, HIDDEN, **options)
    assert message in str(refusal.value)
