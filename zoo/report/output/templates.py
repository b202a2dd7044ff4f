"""Templates of the page, escaping, and the content security policy."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import jinja2
import vl_convert
from markupsafe import Markup

from zoo.report.charts import Chart
from zoo.report.charts.style import VEGA_LITE
from zoo.report.claims import format as formats
from zoo.report.claims.answer import describe_match
from zoo.report.claims.verdicts import explain_missing_verdict
from zoo.system import units
from zoo.system.pages import embed_json, normalize_script

_GLOBALS = "window.vegaEmbed = vegaEmbed;"  # what report.js needs of the bundle


def embed_chart(chart: Chart) -> Markup:
    """Embeds a chart as JSON for the script of the page."""
    return embed_json(chart.to_json())


def insert_breaks(text: str) -> Markup:
    """Escapes a text and allows line breaks after ``_ . = / ,``."""
    return Markup("<wbr>").join(re.split(r"(?<=[_.=/,])(?=\w)", text))


@cache
def build_bundle() -> str:
    """Builds Vega and Vega-Lite as one script; cached, as it takes as long as the rest of a page."""
    return normalize_script(vl_convert.javascript_bundle(_GLOBALS, vl_version=VEGA_LITE))


@cache
def get_environment() -> jinja2.Environment:
    """Returns the environment of the templates: text is escaped, and undefined names are errors."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("zoo.report", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        breakable=insert_breaks,
        embedded=embed_json,
        figure=embed_chart,
        chance=formats.format_chance,
        count=units.format_count,
        duration=units.format_duration,
        difference=formats.format_difference,
        missing=explain_missing_verdict,
        describe_match=describe_match,
        probability=formats.format_probability,
        with_spread=formats.format_mean,
    )
    return made


def read_source(name: str) -> str:
    """Reads a file of the page."""
    return normalize_script(resources.files("zoo.report").joinpath("page", name).read_text(encoding="utf-8"))
