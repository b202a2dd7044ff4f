"""Arms that cost what the baseline costs: one value of the config moves until they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from zoo.checks import Refused, suggest
from zoo.config.checking import CheckedConfig, check_run
from zoo.config.format_override import format_override
from zoo.model import build
from zoo.report.claims.format import describe_mismatch
from zoo.report.records.records import Match
from zoo.runs.run_config import RunConfig
from zoo.study.match.integer_search import Point, search_integer
from zoo.study.match.quantities import measure_quantity
from zoo.study.plan.cell import Setting
from zoo.study.plan.controls import KNOBS, QUANTITIES, Matching
from zoo.system.nested import get_nested

TOLERANCE = 0.005
"""Share of the target up to which two quantities count as equal."""
_MAX_FACTOR = 1000  # times the value of the arm: that is as far as it moves


def match_arm(setting: Setting, baseline: Setting, matching: Matching) -> tuple[Setting, Match]:
    """Move one value of ``setting`` until it costs what ``baseline`` costs; what differs by 0.5 % or less stays.

    Quantities are taken to grow with the knob. Of all values of it the nearest is taken; what remains, and why, is
    told. The number of heads moves without their size.

    Raises:
        Refused: for a quantity or a knob that is not known, a knob that the arm does not have, a baseline without the
            quantity, and what is wrong with the data.
    """
    _check_matching(matching)
    key, target = KNOBS[matching.knob], measure_quantity(baseline.checked, matching.quantity)
    if target == 0:
        name = matching.quantity
        raise Refused(f"match.quantity: {name} of the baseline {baseline.arm} must be above 0: got {name}=0")
    before, own = (
        _get_knob_value(setting.checked.config, key, matching.knob),
        measure_quantity(setting.checked, matching.quantity),
    )
    moved = Match(matching.quantity, key, before, before, target, own)
    if abs(moved.mismatch) <= TOLERANCE:
        return setting, moved
    arm = _Arm(setting, matching, key)
    low, high = search_integer(arm.measure, before, _get_knob_limit(setting.checked.config, key, before), target)
    points = [point for point in (low, high) if point] if arm.depends else [Point(before, own)]
    nearest = min(points, key=lambda point: abs(point.reached - target))
    moved = replace(moved, after=nearest.value, reached=nearest.reached)
    if abs(moved.mismatch) > TOLERANCE:
        moved = replace(moved, why=_explain_mismatch(arm, moved, low if nearest is high else high))
    return (setting, moved) if nearest.value == before else (arm.moved(nearest.value), moved)


def _check_matching(matching: Matching) -> None:
    problems = []
    for name, value, choices in (("quantity", matching.quantity, QUANTITIES), ("knob", matching.knob, KNOBS)):
        if value not in choices:
            problems.append(f"match.{name}: unknown {name} {value!r}: {suggest(value, choices)}")
    if problems:
        raise Refused("\n".join(problems))


def _get_knob_value(config: RunConfig, key: str, knob: str) -> int:
    """The value of the knob in an arm as it is written."""
    value = get_nested(config.as_mapping(), key)
    if value is not None:
        return int(value)
    if key == "model.hidden":
        return 4 * config.model.dim
    *_, slot, option = key.split(".")
    name = config.model.options[slot]["name"]
    raise Refused(f"match.knob: {knob} moves {key}: {slot}={name} has no {option}: got knob={knob}")


def _get_knob_limit(config: RunConfig, key: str, before: int) -> int:
    return config.model.heads if key == "model.attention.kv_heads" else _MAX_FACTOR * before


class _Arm:
    """An arm whose knob can be moved."""

    def __init__(self, setting: Setting, matching: Matching, key: str) -> None:
        self.setting, self.quantity, self.key = setting, matching.quantity, key
        self.config = setting.checked.config
        self._known: dict[int, int | None] = {}

    def measure(self, value: int) -> int | None:
        """The quantity where the knob has this value; None if nothing can be built with it."""
        if value not in self._known:
            self._known[value] = self._measured(value)
        return self._known[value]

    def moved(self, value: int) -> Setting:
        """The setting with the knob at this value, checked anew.

        Raises:
            Refused: for what does not go together with it.
        """
        changes = self._changes(value)
        checked = check_run(self._change_config(changes).as_mapping())
        checked.require()
        lines = (format_override(key, number) for key, number in changes.items())
        return replace(self.setting, overrides=(*self.setting.overrides, *lines), checked=checked)

    @property
    def depends(self) -> bool:
        """Whether values that were tried made a difference."""
        found = [reached for reached in self._known.values() if reached is not None]
        return len(found) < 2 or len(set(found)) > 1

    def _measured(self, value: int) -> int | None:
        config = self._change_config(self._changes(value))
        _, plan, problems = build.check(config.model.options)
        if problems:
            return None
        try:
            return measure_quantity(CheckedConfig(config, plan, ()), self.quantity)
        except Refused:
            return None

    def _changes(self, value: int) -> dict[str, int]:
        model = self.config.model
        if self.key == "model.heads" and model.options["head_dim"] is None:
            return {self.key: value, "model.head_dim": model.dim // model.heads}
        return {self.key: value}

    def _change_config(self, changes: Mapping[str, int]) -> RunConfig:
        return RunConfig.from_mapping(_replace_values(self.config.as_mapping(), changes))


def _replace_values(config: Mapping[str, Any], changes: Mapping[str, int]) -> dict[str, Any]:
    changed = dict(config)
    for key, value in changes.items():
        first, _, rest = key.partition(".")
        changed[first] = _replace_values(changed[first], {rest: value}) if rest else value
    return changed


# ----------------------------------------------------------------------------------------------------- why not nearer


def _explain_mismatch(arm: _Arm, moved: Match, other: Point | None) -> str:
    """Why the quantity cannot come nearer; ``other`` is the value on the other side of the target."""
    own = "".join(f"; {path} stays" for path in _list_fixed_keys(arm.config.model.options, arm.key))
    what = moved.quantity.replace("_", " ")
    if not arm.depends:
        ffn = f": ffn is {', '.join(_list_ffn_names(arm.setting.checked))}" if arm.key == "model.hidden" else ""
        return f"{what} do not depend on {arm.key}{ffn}{own}"
    if other is None:
        return f"even {arm.key}={moved.after} has {describe_mismatch(moved.mismatch)} {what}{own}"
    beside = describe_mismatch(replace(moved, reached=other.reached).mismatch)
    return f"the next value of {arm.key} is {other.value}, which has {beside}{own}"


def _list_ffn_names(checked: CheckedConfig) -> list[str]:
    stacks = checked.plan.stacks if checked.plan else ()
    return sorted({layer.ffn.name for stack in stacks for layer in stack.layers})


def _list_fixed_keys(model: Mapping[str, Any], key: str) -> Iterator[str]:
    """Keys of overlays and exceptions that say the same as ``key`` for some layers; they do not move."""
    _, _, rest = key.partition("model.")
    places = {f"model.{stack}": model.get(stack) for stack in ("encoder", "decoder")}
    places |= {f"model.exceptions.{name}": what for name, what in model["exceptions"].items()}
    yield from (f"{path}.{rest}" for path, what in places.items() if rest and get_nested(what, rest) is not None)
