"""Which components go together: any is swapped in, or refused with a reason."""

from __future__ import annotations

import pytest

from zoo.checks import Refused
from zoo.model.build import VARIANTS, build, check
from zoo.model.schema import SLOTS
from zoo.registry import get_index
from zoo.testing.subject import build_config


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_any_component_is_swapped_in_or_refused_with_a_reason(slot: str, variant: str) -> None:
    built = 0
    for name in get_index().get_names(slot):
        config = build_config(slot, {"name": name}, variant)
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
