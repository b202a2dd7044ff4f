"""The report: targets and tables in README.md, between two marks, and pictures beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.speed.charts import write_charts
from experiments.speed.clock import compute_quartiles
from experiments.speed.outcome import Row

MARKS = ("<!-- results -->\n", "<!-- end -->\n")
_BYTES = ("peak memory",)


def write_report(out: Path, results: Mapping[str, Any], rows: Mapping[str, Sequence[Row]]) -> None:
    """Writes the results between the marks of README.md, which is made if there is none, and the pictures."""
    page = out / "README.md"
    text = page.read_text(encoding="utf8") if page.exists() else f"# Speed\n\n{''.join(MARKS)}"
    before, rest = text.split(MARKS[0])
    pictures = write_charts(out / "pictures", rows)
    shown = "\n".join(format_results(results, rows, pictures))
    page.write_text(f"{before}{MARKS[0]}\n{shown}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf8")


def format_results(
    results: Mapping[str, Any], rows: Mapping[str, Sequence[Row]], pictures: Mapping[str, str]
) -> Iterator[str]:
    """Yields the lines of machine, targets, and a section for each measure."""
    yield from _format_machine(results)
    yield from _format_targets(results["targets"])
    for name, taken in results["measures"].items():
        settings, load = taken["settings"], taken["load"]
        yield f"### {name}\n"
        yield f"{taken['about']}\n"
        quick = ", quick" if settings["is_quick"] else ""
        yield (
            f"Measured {taken['date']} in {taken['took']:.0f} s; rounds {settings['rounds']}, threads "
            f"{settings['threads']}{quick}; load of the machine {load[0]:.1f} before and {load[1]:.1f} after.\n"
        )
        if name in pictures:
            yield f"![{name}](pictures/{pictures[name]})\n"
        yield from _format_rows(rows[name])


def _format_machine(results: Mapping[str, Any]) -> Iterator[str]:
    machine = results["machine"]
    instructions = ", ".join(machine["instructions"]) or "none of those looked for"
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    hardware = f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, {machine['system']}"
    yield f"{results['date']}: {hardware}."
    yield f"Instructions: {instructions}. Versions: {versions}.\n"


def _format_targets(targets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "### Targets\n"
    yield "| measure | case | number | target | measured | met |"
    yield "|---|---|---|---|---|---|"
    for one in targets:
        measured = "not measured" if one["measured"] is None else f"{one['measured']:.4g}"
        met = {True: "yes", False: "**no**", None: "–"}[one["met"]]
        number = f"{one['side']}: {one['number']}"
        yield f"| {one['measure']} | {one['case']} | {number} | {one['target']} | {measured} | {met} |"
    yield ""


def _format_rows(rows: Sequence[Row]) -> Iterator[str]:
    numbers = list(dict.fromkeys(name for row in rows for name in (*row.ratios, *row.values)))
    yield f"| case | side | median | quartiles | {''.join(f'{name} | ' for name in numbers)}note |"
    yield "|---|---|---|---|" + "---|" * (len(numbers) + 1)
    for row in rows:
        cells = [row.case, row.side, *_format_times(row.seconds), *(_format_number(row, name) for name in numbers)]
        note = row.note if row.status == "measured" else f"not measured: {row.note}"
        yield f"| {' | '.join(cells)} | {note} |"
    yield ""


def _format_times(seconds: Sequence[float]) -> tuple[str, str]:
    if not seconds:
        return "–", "–"
    low, median, high = compute_quartiles(seconds)
    factor, unit = next(((f, u) for f, u in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")) if median * f >= 1), (1e6, "µs"))
    return f"{median * factor:.4g} {unit}", f"{low * factor:.4g} to {high * factor:.4g}"


def _format_number(row: Row, name: str) -> str:
    if name in row.ratios:
        low, median, high = row.ratios[name]
        return f"{median:.2f}" if low == high else f"{median:.2f} ({low:.2f} to {high:.2f})"
    if name not in row.values:
        return ""
    value = row.values[name]
    return f"{value / 2**20:.0f} MiB" if name.startswith(_BYTES) else f"{value:.4g}"
