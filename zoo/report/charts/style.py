"""Style of charts: colors, dashes and shapes by the number of an arm, and a theme.

Colors are those of ``page/style.css``, by their names there: on the page the browser looks them up, so that charts
follow its color scheme; in a picture they are the light ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import altair as alt

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])  # that specifications are written in
COLORS = 7  # of the palette in style.css; arms beyond them take the next dash and shape
DASHES = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2))
SHAPES = ("circle", "square", "triangle-up", "diamond")
TICK = "format(datum.value, abs(datum.value) < 1e4 ? ',' : '~s')"
NUMBER = ",.4~g"
ROW = "(datum.datum || datum)"  # Vega-Lite 6.4 looks for texts on the cell around a nearest point, not on its row


def get_dash(arm: int) -> tuple[int, ...]:
    """Returns the dash pattern of an arm by its number, as lengths of strokes and gaps in pixels."""
    return DASHES[arm // COLORS % len(DASHES)]


def encode_color(arms: Mapping[str, int]) -> alt.Color:
    """Encodes arms by color."""
    shades = [f"var(--c{number % COLORS})" for number in arms.values()]
    return alt.Color("arm:N", title=None, scale=alt.Scale(domain=list(arms), range=shades))


def encode_dash(arms: Mapping[str, int]) -> alt.StrokeDash:
    """Encodes arms by dash pattern."""
    patterns = [list(get_dash(number)) for number in arms.values()]
    return alt.StrokeDash("arm:N", title=None, scale=alt.Scale(domain=list(arms), range=patterns))


def encode_shape(arms: Mapping[str, int]) -> alt.Shape:
    """Encodes arms by shape."""
    shapes = [SHAPES[number // COLORS % len(SHAPES)] for number in arms.values()]
    return alt.Shape("arm:N", title=None, scale=alt.Scale(domain=list(arms), range=shapes))


def get_theme(legend: str = "") -> dict[str, Any]:
    """Returns Vega-Lite's ``config`` with colors by name; ``legend`` is the symbol of an arm, empty for no legend."""
    return {
        "background": "transparent",
        "font": _read_css()["sans"],
        "padding": {"left": 2, "right": 8, "top": 26, "bottom": 2},
        "view": {"stroke": None},
        "text": {"color": "var(--ink)", "fontSize": 12},
        "rule": {"color": "var(--ink)"},
        "axis": {
            "labelColor": "var(--quiet)",
            "labelFontSize": 12,
            "titleColor": "var(--ink)",
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "domainColor": "var(--rule)",
            "tickColor": "var(--rule)",
            "gridColor": "var(--rule)",
            "gridOpacity": 0.6,
        },
        "axisY": {
            "domain": False,
            "ticks": False,
            "labelPadding": 6,
            "titleAngle": 0,
            "titleAlign": "left",
            "titleAnchor": "end",
            "titleBaseline": "bottom",
            "titleX": 0,
            "titleY": -10,
        },
        "legend": {
            "disable": not legend,
            "symbolType": legend or "circle",
            "orient": "bottom",
            "labelColor": "var(--ink)",
            "labelFontSize": 12,
            "labelLimit": 300,
            "symbolStrokeWidth": 2.5,
            "symbolOpacity": 1,
            "symbolSize": 180,
            "offset": 14,
            "columnPadding": 18,
        },
    }


def resolve_colors(value: Any) -> Any:
    """Replaces names of colors in ``value`` by the colors of the light scheme."""
    if isinstance(value, Mapping):
        return {key: resolve_colors(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve_colors(item) for item in value]
    name = re.fullmatch(r"var\(--([\w-]+)\)", value) if isinstance(value, str) else None
    return _read_css()[name[1]] if name else value


@cache
def _read_css() -> dict[str, str]:
    """Reads the variables of the stylesheet; if one is defined twice, the first is the light one."""
    source = resources.files("zoo.report").joinpath("page", "style.css").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for name, value in re.findall(r"--([\w-]+):\s*([^;]+);", source):
        found.setdefault(name, value)
    return found
