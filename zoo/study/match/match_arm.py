"""Matches arms to the cost of the baseline by changing one value of their config."""

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
"""Relative difference up to which two quantities count as equal."""
_MAX_FACTOR = 1000  # largest value of a knob, relative to that of the arm


def match_arm(setting: Setting, baseline: Setting, matching: Matching) -> tuple[Setting, Match]:
    """Matches an arm to the baseline: sets its knob to the value at which the quantities are closest.

    The quantity must increase with the knob. An arm within ``TOLERANCE`` is left unchanged. Heads are added or removed
    without changing their size.

    Args:
        setting: Arm to change.
        baseline: Baseline on the same task.
        matching: Quantity and knob.
    Returns:
        The changed arm; and the change, with the mismatch that remains and its reason.

    Raises:
        Refused: If the quantity or the knob is unknown, the arm lacks the knob, the quantity of the baseline is 0, or
            the data cannot be prepared.
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
    return (setting, moved) if nearest.value == before else (arm.set_knob(nearest.value), moved)


def _check_matching(matching: Matching) -> None:
    problems = []
    for name, value, choices in (("quantity", matching.quantity, QUANTITIES), ("knob", matching.knob, KNOBS)):
        if value not in choices:
            problems.append(f"match.{name}: unknown {name} {value!r}: {suggest(value, choices)}")
    if problems:
        raise Refused("\n".join(problems))


def _get_knob_value(config: RunConfig, key: str, knob: str) -> int:
    """Returns the value of the knob in the config of an arm."""
    value = get_nested(config.as_mapping(), key)
    if value is not None:
        return int(value)
    if key == "model.hidden":
        return 4 * config.model.dim
    *_, slot, option = key.split(".")
    name = config.model.options[slot]["name"]
    raise Refused(f"match.knob: {knob} sets {key}, but {slot}={name} has no {option}: got knob={knob}")


def _get_knob_limit(config: RunConfig, key: str, before: int) -> int:
    return config.model.heads if key == "model.attention.kv_heads" else _MAX_FACTOR * before


class _Arm:
    """An arm whose knob can be set."""

    def __init__(self, setting: Setting, matching: Matching, key: str) -> None:
        self.setting, self.quantity, self.key = setting, matching.quantity, key
        self.config = setting.checked.config
        self._known: dict[int, int | None] = {}

    def measure(self, value: int) -> int | None:
        """Measures the quantity at a value of the knob; returns None if no model can be built with it."""
        if value not in self._known:
            self._known[value] = self._measure(value)
        return self._known[value]

    def set_knob(self, value: int) -> Setting:
        """Returns the setting with the knob at a value, checked again.

        Raises:
            Refused: If the config is invalid with this value.
        """
        changes = self._list_changes(value)
        checked = check_run(self._change_config(changes).as_mapping())
        checked.require()
        lines = (format_override(key, number) for key, number in changes.items())
        return replace(self.setting, overrides=(*self.setting.overrides, *lines), checked=checked)

    @property
    def depends(self) -> bool:
        """True if the quantity depends on the knob, as far as values were tried."""
        found = [reached for reached in self._known.values() if reached is not None]
        return len(found) < 2 or len(set(found)) > 1

    def _measure(self, value: int) -> int | None:
        config = self._change_config(self._list_changes(value))
        _, plan, problems = build.check(config.model.options)
        if problems:
            return None
        try:
            return measure_quantity(CheckedConfig(config, plan, ()), self.quantity)
        except Refused:
            return None

    def _list_changes(self, value: int) -> dict[str, int]:
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


# -------------------------------------------------------------------------------------------------- remaining mismatch


def _explain_mismatch(arm: _Arm, moved: Match, other: Point | None) -> str:
    """Explains why the quantity cannot come closer; ``other`` is the point on the other side of the target."""
    own = "".join(f"; {path} is not changed" for path in _list_fixed_keys(arm.config.model.options, arm.key))
    what = moved.quantity.replace("_", " ")
    if not arm.depends:
        ffn = f": ffn is {', '.join(_list_ffn_names(arm.setting.checked))}" if arm.key == "model.hidden" else ""
        return f"{what} do not depend on {arm.key}{ffn}{own}"
    if other is None:
        return f"even {arm.key}={moved.after} has {describe_mismatch(moved.mismatch)} {what}{own}"
    beside = describe_mismatch(replace(moved, reached=other.reached).mismatch)
    return f"the next value of {arm.key}, {other.value}, has {beside}{own}"


def _list_ffn_names(checked: CheckedConfig) -> list[str]:
    stacks = checked.plan.stacks if checked.plan else ()
    return sorted({layer.ffn.name for stack in stacks for layer in stack.layers})


def _list_fixed_keys(model: Mapping[str, Any], key: str) -> Iterator[str]:
    """Lists keys of overlays and exceptions that set ``key`` for some layers; matching does not change these."""
    _, _, rest = key.partition("model.")
    places = {f"model.{stack}": model.get(stack) for stack in ("encoder", "decoder")}
    places |= {f"model.exceptions.{name}": what for name, what in model["exceptions"].items()}
    yield from (f"{path}.{rest}" for path, what in places.items() if rest and get_nested(what, rest) is not None)
