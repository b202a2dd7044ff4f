"""What stands between the data and the page: templates, escaping, and the policy on what may run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

import jinja2
import vl_convert
from markupsafe import Markup

from zoo import units
from zoo.report.charts import Chart
from zoo.report.charts.style import VEGA_LITE
from zoo.report.claims import format as formats
from zoo.report.claims.answer import describe_match
from zoo.report.claims.verdicts import explain_missing_verdict

_GLOBALS = "window.vegaEmbed = vegaEmbed;"  # what report.js needs of the bundle


def figure(chart: Chart) -> Markup:
    """A chart as the script of the page reads it."""
    return embedded(chart.embedded())


def embedded(value: object) -> Markup:
    """JSON that cannot end the script element it stands in, nor begin another."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # ASCII: no U+2028
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def breakable(text: str) -> Markup:
    """``text``, escaped, that may break after ``_ . = / ,`` rather than anywhere."""
    return Markup("<wbr>").join(re.split(r"(?<=[_.=/,])(?=\w)", text))


@cache
def bundle() -> str:
    """Vega and Vega-Lite as one script; making it takes as long as all the rest of a page."""
    return plain(vl_convert.javascript_bundle(_GLOBALS, vl_version=VEGA_LITE))


@cache
def environment() -> jinja2.Environment:
    """What fills the templates: all that is not markup is escaped, and a name that is not there is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("zoo.report", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        breakable=breakable,
        embedded=embedded,
        figure=figure,
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


def source(name: str) -> str:
    """A file of the page."""
    return plain(resources.files("zoo.report").joinpath("page", name).read_text(encoding="utf-8"))


def plain(source: str) -> str:
    """A script as a browser sees it, so that its hash holds; the bundle never ends its own element."""
    return source.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def policy(scripts: Sequence[str]) -> str:
    """A content security policy: these scripts and no other, and no connection at all."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"
