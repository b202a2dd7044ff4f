"""Which components go together: allowed pairs differ from having none, refused ones say why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.build import assemble, build, check
from zoo.checks import Refused
from zoo.interfaces import Inputs
from zoo.plan import plan_model
from zoo.registry import index
from zoo.schema import SLOTS, check_model
from zoo.variants.variant import Variant

Tiny = Callable[..., dict[str, Any]]
TOKENS = torch.tensor([[7, 9, 7, 8, 11, 7, 30, 12], [8, 8, 9, 30, 7, 6, 6, 10]])


def hidden(model: Variant) -> torch.Tensor:
    return model.eval().hidden(Inputs(TOKENS, source=TOKENS.flip(1) if model.name == "encoder_decoder" else None))


def forced(config: dict[str, Any]) -> Variant:
    """A model that ``build`` would refuse."""
    problems: list[str] = []
    plan = plan_model(check_model(config, problems), problems)
    assert not problems
    torch.manual_seed(0)
    return assemble(plan, 32)


@pytest.mark.parametrize("slot", SLOTS)
def test_any_component_is_swapped_in_or_refused_with_a_reason(slot: str, variant: str, tiny: Tiny) -> None:
    built = 0
    for name in index().names(slot):
        config = tiny(variant, **{slot: {"name": name}})
        _, _, problems = check(config)
        if not problems:
            build(config, 32)
            built += 1
            continue
        for line in problems:
            assert line.startswith("model.")
            assert f"{name} " in line
            assert "\n" not in line
        with pytest.raises(Refused) as refusal:
            build(config, 32)
        assert str(refusal.value) == "\n".join(problems)
    assert built > 1


@pytest.mark.parametrize("position", [name for name in index().names("position") if name != "none"])
@pytest.mark.parametrize("attention", index().names("attention"))
@pytest.mark.variants("decoder", "encoder")
def test_a_position_changes_something_or_is_refused(
    attention: str, position: str, variant: str, tiny: Tiny, lively: Callable[..., None]
) -> None:
    """A refusal is earned: what is refused computes what position ``none`` computes."""
    config = tiny(variant, attention={"name": attention}, position={"name": position})
    without = forced({**config, "position": {"name": "none"}})
    _, _, problems = check(config)
    model = forced(config) if problems else build(config, 32)
    lively(model)
    left = without.load_state_dict({k: v for k, v in model.state_dict().items() if k in without.state_dict()})
    assert not left.missing_keys
    same = torch.allclose(hidden(model), hidden(without), atol=1e-3)
    refused = [line for line in problems if "would change nothing" in line]
    assert same == bool(refused)
    assert all(attention in line and position in line for line in refused)
    for line in refused:
        with pytest.raises(Refused) as refusal:
            build(config, 32)
        assert line in str(refusal.value)
