"""Pages over all components: the index and the compatibility matrix."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from zoo.catalog.component_facts import find_conflict, find_pair_conflict, find_place, list_entries, list_places
from zoo.catalog.component_page import KINDS, flatten_options
from zoo.catalog.markdown_text import escape_cell, link_paper, to_markdown
from zoo.model.build import VARIANTS
from zoo.model.schema import SLOTS
from zoo.registry import Entry, get_live_options

_FORMS = ("documents", "pairs")
_NOTE = "Generated from the registry by `make docs`; do not edit by hand."


def build_index(plugins: Collection[str] = ()) -> str:
    """Builds the list of all components by kind, those of the distributions ``plugins`` included."""
    parts = [
        "# Components",
        f"{_NOTE} The [compatibility matrix](matrix.md) shows which components can be combined; "
        "[concepts.md](../concepts.md) explains the kinds.",
    ]
    for kind, (term, what) in KINDS.items():
        parts += [f"## {kind}", f"{term}: {what}.", _build_list(kind, plugins)]
    return "\n\n".join(parts) + "\n"


def _build_list(kind: str, plugins: Collection[str]) -> str:
    rows = []
    for entry in list_entries(kind, plugins):
        failures = getattr(entry.load(), "expected_failures", {})
        options = len(list(flatten_options(get_live_options(kind, entry.name))))
        link = f"[`{entry.name}`]({kind}/{entry.name}.md)"
        known = (
            link,
            escape_cell(to_markdown(entry.description)),
            link_paper(entry.paper),
            str(options),
            str(len(failures) or ""),
        )
        rows.append(f"| {' | '.join(known)} |")
    return "\n".join(["| name | description | paper | options | expected failures |", "|---|---|---|---|---|", *rows])


def build_matrix(plugins: Collection[str] = ()) -> str:
    """Builds the compatibility matrix, with the reason for each refusal."""
    notes: dict[str, int] = {}
    positions, attentions = list_entries("position", plugins), list_entries("attention", plugins)
    parts = [
        "# Compatibility matrix",
        f"{_NOTE} ✓: accepted. –: refused, for the numbered reason below. A pair is tried in the first place that "
        "accepts each of its components on its own; if there is no such place, the cell is empty.",
        "## attention and position",
        _build_grid(
            attentions, [item.name for item in positions], lambda row, name: _mark_pair(row, ("position", name), notes)
        ),
    ]
    for kind in SLOTS:
        parts += [
            f"## {kind} and variant",
            _build_grid(
                list_entries(kind, plugins), list(list_places(kind)), lambda row, place: _mark_place(row, place, notes)
            ),
        ]
    both = [f"{variant}, {form}" for variant in VARIANTS for form in _FORMS]
    parts += [
        "## objective, variant and data",
        _build_grid(list_entries("objective", plugins), both, lambda row, pair: _mark_objective(row, pair, notes)),
        "## Reasons",
        "\n".join(f"{number}. {to_markdown(reason)}" for reason, number in notes.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _build_grid(rows: Sequence[Entry], columns: Sequence[str], content: Callable[[Entry, str], str]) -> str:
    lines = [("", *columns), ("---", *(":---:" for _ in columns))]
    for row in rows:
        lines.append((f"[`{row.name}`]({row.kind}/{row.name}.md)", *(content(row, column) for column in columns)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mark_pair(row: Entry, other: tuple[str, str], notes: dict[str, int]) -> str:
    if find_place((row.kind, row.name), other) is None:
        return ""
    reason = find_pair_conflict((row.kind, row.name), other)
    return _format_mark(reason, {row.kind: row.name, other[0]: other[1]}, notes)


def _mark_place(row: Entry, place: str, notes: dict[str, int]) -> str:
    return _format_mark(find_conflict(place, (row.kind, row.name)), {row.kind: row.name}, notes)


def _mark_objective(row: Entry, pair: str, notes: dict[str, int]) -> str:
    cls = row.load()
    allowed = tuple(pair.split(", ")) in cls.combines  # type: ignore[attr-defined]
    return _format_mark(None if allowed else cls.reason, {}, notes)  # type: ignore[attr-defined]


def _format_mark(reason: str | None, names: dict[str, str], notes: dict[str, int]) -> str:
    """Returns a check mark, or a dash with the number of the reason.

    In a reason, ``this attention`` replaces the name, so that components refused for the same reason share a number.
    """
    if reason is None:
        return "✓"
    for kind, name in names.items():
        reason = re.sub(rf"(?<!\w)({kind} )?{re.escape(name)}(?!\w)", f"this {kind}", reason)
    return f"–<sup>{notes.setdefault(reason, len(notes) + 1)}</sup>"
