"""Learning curves as a Vega-Lite specification and the data that the page feeds into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from zoo.report.curves import AXES, measured, over_seeds
from zoo.report.metrics import Metric
from zoo.report.records import Run, Task

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])  # that the specification is written in
COLOURS = 7  # of the palette in style.css; arms beyond them take the next dash
DASHES = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2))
AXIS_LABELS = {"step": "steps", "tokens": "training tokens", "seconds": "seconds"}
_TICK = "format(datum.value, abs(datum.value) < 1e4 ? ',' : '~s')"
_FADED = "!hover.arm || hover.arm[0] === datum.arm"

# Written out, because Vega-Lite 6.4 looks for texts on the cell around a nearest point, not on the point's row.
_ROW = "(datum.datum || datum)"
_TIP = f"{{arm: {_ROW}.arm, at: {_ROW}.at, mean: {_ROW}.value, seeds: {_ROW}.range}}"


def dash(arm: int) -> tuple[int, ...]:
    """The dash pattern of the arm of that number, in pixels drawn and left out."""
    return DASHES[arm // COLOURS % len(DASHES)]


def chart(task: Task, arms: Mapping[str, int], runs: Sequence[Run]) -> dict[str, Any] | None:
    """The specification and data of one task's curves; None if nothing was measured.

    Args:
        task: its metrics come first in the choice.
        arms: number of each arm in the study, which decides its colour on the whole page.
        runs: of this task.
    """
    names = _ordered(task, measured([run.curves for run in runs]))
    if not names:
        return None
    shown = [arm for arm in arms if any(run.arm == arm and not run.curves.is_empty() for run in runs)]
    points = min(200, max(40, 2400 // len(shown)))
    return {
        "spec": _spec([(arm, arms[arm]) for arm in shown]),
        "arms": shown,
        "colours": [f"c{arms[arm] % COLOURS}" for arm in shown],
        "axes": {axis: AXIS_LABELS[axis] for axis in AXES if _has(runs, axis)},
        "metrics": [_metric(name, shown, runs, points) for name in names],
    }


def _has(runs: Sequence[Run], axis: str) -> bool:
    return any(axis in run.curves.columns and run.curves[axis].count() for run in runs)


def _ordered(task: Task, names: Sequence[str]) -> list[str]:
    """The task's own metrics first, then what else was validated, then training."""
    wanted = [f"validation/{name}" for name in task.metrics]
    return sorted(names, key=lambda n: (wanted.index(n) if n in wanted else len(wanted), n.startswith("train/")))


def _metric(name: str, arms: Sequence[str], runs: Sequence[Run], points: int) -> dict[str, Any]:
    split, _, short = name.rpartition("/")
    metric = Metric.named(short)
    when = {"train": "training", "validation": "validation"}.get(split, split)
    label = f"{when} {metric.label}".strip() + (" (%)" if metric.percent else "")
    series = [over_seeds([run.curves for run in runs if run.arm == arm], name, points) for arm in arms]
    return {"name": name, "label": label, "percent": metric.percent, "series": series}


def _spec(arms: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Band, line and hover points over rows ``arm, x, mean, low, high`` and their texts; the page adds the rows."""
    names = [name for name, _ in arms]
    colour = alt.Color("arm:N", legend=None, scale=alt.Scale(domain=names))
    dashes = alt.StrokeDash("arm:N", legend=None, scale=alt.Scale(domain=names, range=[list(dash(i)) for _, i in arms]))
    hover = alt.selection_point(name="hover", fields=["arm", "x"], nearest=True, on="pointerover", empty=False)
    base = alt.Chart(alt.NamedData("curves")).encode(
        x=alt.X("x:Q", title=None, axis=alt.Axis(grid=False, tickCount=6, labelExpr=_TICK)),
        y=alt.Y("mean:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6, labelExpr=_TICK)),
        color=colour,
    )
    band = base.mark_area(opacity=min(0.15, 2 / len(arms)), clip=True).encode(y=alt.Y("low:Q", title=None), y2="high:Q")
    line = base.mark_line(strokeWidth=1.8 if len(arms) < 15 else 1.2, clip=True).encode(
        strokeDash=dashes, opacity=alt.condition(_FADED, alt.value(1), alt.value(0.2))
    )
    point = base.mark_circle(size=50, tooltip=alt.ExprRef(_TIP)).encode(
        opacity=alt.condition(hover, alt.value(1), alt.value(0), empty=False)
    )
    layers = (band + line + point.add_params(hover)).properties(width="container", height=300)
    return dict(layers.to_dict())
