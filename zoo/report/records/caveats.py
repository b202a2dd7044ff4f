"""How the numbers were made, and what about that should make a reader careful."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoo.report.records.comparability import lost_text
from zoo.report.records.flat_configs import differing, texts
from zoo.report.records.records import Run, up_to_date
from zoo.units import format_duration

_BY_ARM = (("fingerprints", "components"), ("fingerprints", "packages"))
"""What arms have different ones of; ``result.json`` tells them, and packages are named."""
_SECTIONS = ("versions", "packages", "hardware", "fingerprints")


def facts(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    """By name of a fact, its values and how many finished runs have each."""
    told: dict[str, dict[str, int]] = {}
    for run in runs:
        for name, value in _facts(run):
            values = told.setdefault(name, {})
            values[value] = values.get(value, 0) + 1
    return told


def _facts(run: Run) -> Iterable[tuple[str, str]]:
    result = run.result or {}
    for section in _SECTIONS:
        for key, value in (result.get(section) or {}).items():
            if (section, key) in _BY_ARM:
                continue
            where = f" of {run.task}" if (section, key) == ("fingerprints", "data") else ""
            kind = " fingerprint" if section == "fingerprints" else ""
            yield f"{'package ' if section == 'packages' else ''}{key}{kind}{where}", str(value)
    if score := result.get("text_metric"):
        yield f"{score['name']} of {run.task}", f"{score['signature']}, {score['texts']} texts"
    if begun := result.get("checkpoint"):
        yield "checkpoint", f"{begun['family']}, sha256 {begun['sha256'][:12]}"
        yield f"weights of {run.arm}", _weights(begun)
    if result:
        yield "git revision", str(result.get("git") or "not in a repository")


def _weights(begun: Mapping[str, Any]) -> str:
    """What became of the weights of the checkpoint that a run began at."""
    ways = [f"{name} ({how})" for name, how in begun["converted"].items()]
    changed = {"converted": ways, "new": begun["new"], "left behind": begun["left"]}
    told = [f"{what}: {', '.join(names)}" for what, names in changed.items() if names]
    return "; ".join(["all others kept", *told]) if told else "all kept"


def time_spent(runs: Sequence[Run]) -> str:
    """Time of all finished runs, added up."""
    return format_duration(sum(float((run.result or {}).get("seconds") or 0.0) for run in runs))


def energy_spent(runs: Sequence[Run]) -> str:
    """Energy of the finished runs of which it is known, added up, and of how many that is; empty if of none."""
    known = [float(run.result["energy_joules"]) for run in runs if run.result and run.result.get("energy_joules")]
    if not known:
        return ""
    done = sum(run.result is not None for run in runs)
    return f"{sum(known) / 3.6e6:.3g}\N{NO-BREAK SPACE}kWh" + (
        f" ({len(known)} of {done} runs tell)" if len(known) < done else ""
    )


def started(runs: Sequence[Run]) -> str:
    """When the first of the finished runs began, as it was written; empty if none tells."""
    return min((str(run.result["started"]) for run in runs if run.result and run.result.get("started")), default="")


def warnings(runs: Sequence[Run]) -> list[str]:
    """What runs do not share though a fair comparison needs it, and what of their folders could not be read."""
    return [*_stale(runs), *_mixed(facts(runs)), *_uneven(runs), *_lost(runs), *_unread(runs)]


def _stale(runs: Sequence[Run]) -> list[str]:
    stale, used = sum(run.stale for run in runs), sum(run.stale and run.result is not None for run in up_to_date(runs))
    what = f"{stale} {'run was' if stale == 1 else 'runs were'} made by other code or data than what is there now"
    fate = "all results are of such runs" if used else "they are left out"
    return [f"{what}; {fate}. Run the study again."] if stale else []


def _mixed(told: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Facts that should be one and the same in all runs but are not."""
    consequences = {
        "code fingerprint": "the runs were made by different code",
        "git revision": "the runs were made at different revisions",
        "torch": "numbers may differ by the version alone",
        "processor": "tokens per second cannot be compared",
        "cores": "tokens per second cannot be compared",
    }
    mixed = [name for name, values in told.items() if len(values) > 1]
    reasons = {name: consequences.get(name) for name in mixed}
    reasons |= {name: "the runs were made by different code of it" for name in mixed if name.startswith("package ")}
    reasons |= {name: "the runs saw different data" for name in mixed if name.startswith("data fingerprint")}
    return [f"{len(told[name])} different values of {name}: {why}." for name, why in reasons.items() if why]


def _uneven(runs: Sequence[Run]) -> list[str]:
    """Arms whose runs differ in more than the seed."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in runs:
        if run.config and not run.tuning:
            groups.setdefault((run.task, run.arm), []).append(texts(run.config))
    apart = {where: differing(configs) for where, configs in groups.items()}
    return [
        f"Runs of {arm} on {task} differ in more than the seed: {', '.join(keys)}."
        for (task, arm), keys in apart.items()
        if keys
    ]


def _lost(runs: Sequence[Run]) -> list[str]:
    """Text that tokenizers do not give back: what is dropped need not be predicted."""
    tasks = dict.fromkeys(run.task for run in runs)
    told = [(task, each) for task in tasks for each in lost_text([run for run in runs if run.task == task])]
    return [f"On {task}, {each}; bits per byte are withheld where that is text to be judged by." for task, each in told]


def _unread(runs: Sequence[Run]) -> list[str]:
    return [f"{run.arm} on {run.task}, seed {run.seed}: {note}." for run in runs for note in run.notes]
