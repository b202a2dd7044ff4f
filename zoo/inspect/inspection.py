"""An inspection: what happens inside a model that reads and writes a text, as plain values and as a page."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zoo.inspect.page import render_page
from zoo.system.files import write_file

Language = Literal["en", "zh"]


@dataclass(frozen=True, repr=False)
class Inspection:
    """Values and page of an inspected model.

    Attributes:
        data: all of it as plain values, as ``zoo inspect --json`` prints it: the model, the text with its tokens, and
            the views.
    """

    data: Mapping[str, Any]

    def to_json(self) -> str:
        """Formats the data as JSON."""
        return json.dumps(self.data, ensure_ascii=False, allow_nan=False)

    def to_html(self, language: Language = "en") -> str:
        """Renders one self-contained page, which needs no connection; it can switch its language."""
        return render_page(self.data, language)

    def write(self, file: str | Path, language: Language = "en") -> Path:
        """Writes the page and returns its absolute path."""
        path = Path(file).resolve()
        write_file(path, self.to_html(language))
        return path

    def __repr__(self) -> str:
        model = self.data["model"]
        return f"Inspection({model['name']!r}, views: {', '.join(self.data['views'])})"

    def _repr_html_(self) -> str:
        """Returns the page in a frame, for notebooks."""
        page = html.escape(self.to_html(), quote=True)
        return f'<iframe srcdoc="{page}" sandbox="allow-scripts" style="width:100%;height:80vh;border:0"></iframe>'
