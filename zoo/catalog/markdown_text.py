"""Text of docstrings converted to Markdown."""

from __future__ import annotations

import re


def to_markdown(text: str) -> str:
    """Converts text with double backticks to Markdown, with papers as links."""
    parts = re.split(r"``(.+?)``", text)
    return "".join(f"`{part}`" if place % 2 else _escape_text(part) for place, part in enumerate(parts))


def escape_cell(text: str) -> str:
    """Escapes Markdown for a cell of a table, where a bar ends the cell even in code."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def link_paper(paper: str | None) -> str:
    """Formats ``arXiv:…`` or ``doi:…`` as a link; empty for None."""
    return _link_papers(paper or "")


def _escape_text(text: str) -> str:
    """Escapes characters that Markdown would interpret; a star between spaces is not one of them."""
    return _link_papers(re.sub(r"(\\|\*(?=\S)|(?<=\S)\*|(?<!\w)_|<(?=[A-Za-z/!]))", r"\\\1", text))


def _link_papers(text: str) -> str:
    text = re.sub(r"arXiv:([\w.-]+/\d+|\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"doi:(10\.\d+/[\w./-]*\w)", r"[doi:\1](https://doi.org/\1)", text)
