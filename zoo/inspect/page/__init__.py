"""The page of an inspection: one file with its data, styles and scripts, in English and Chinese."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from zoo.checks import require
from zoo.inspect.languages import LANGUAGES
from zoo.system.pages import build_policy, embed_json, normalize_script


def render_page(data: Mapping[str, Any], language: str) -> str:
    """Renders the page of an inspection.

    Args:
        data: as of :class:`zoo.inspect.inspection.Inspection`.
        language: the language at first, ``en`` or ``zh``.
    Raises:
        Refused: if there is no such language.
    """
    require(language in LANGUAGES, f"language must be one of {', '.join(LANGUAGES)}: got {language}")
    views = [name for name in list_views() if data["views"].get(name) is not None]
    scripts = [_read("core.js"), *(_read(f"view_{name}.js") for name in views), _read("start.js")]
    script = normalize_script("\n".join(scripts))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["embedded"] = embed_json
    return environment.from_string(_read("inspect.html")).render(
        data=data,
        views=views,
        strings=read_strings(),
        language=language,
        style=Markup(_read("inspect.css")),
        script=Markup(script),
        policy=build_policy([script]),
    )


def list_views() -> list[str]:
    """Lists the views in the order of the page."""
    return list(read_strings()["views"])


@cache
def read_strings() -> dict[str, Any]:
    """Reads the texts of the page: ``{key: {"en": …, "zh": …}}``, and those of each view under ``views``."""
    found: dict[str, Any] = json.loads(_read("strings.json"))
    return found


def _read(name: str) -> str:
    return resources.files("zoo.inspect").joinpath("page", name).read_text(encoding="utf-8")
