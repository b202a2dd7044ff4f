"""Provenance of the results, and warnings about what may distort a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoo.report.records.comparability import describe_lost_text
from zoo.report.records.records import Run, drop_stale_results
from zoo.runs.flat_configs import find_differing_keys, flatten_to_text
from zoo.runs.run_start import InitialWeights
from zoo.system.units import format_duration

_BY_ARM = (("fingerprints", "components"), ("fingerprints", "packages"))
"""Fingerprints that differ between arms by design; packages are listed by name instead."""
_SECTIONS = ("versions", "packages", "hardware", "fingerprints")


def collect_facts(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    """Returns facts by name, with their values and the number of finished runs that have each value."""
    found: dict[str, dict[str, int]] = {}
    for run in runs:
        for name, value in _list_facts(run):
            values = found.setdefault(name, {})
            values[value] = values.get(value, 0) + 1
    return found


def _list_facts(run: Run) -> Iterable[tuple[str, str]]:
    result = run.result
    if result is None:
        return
    for section in _SECTIONS:
        for key, value in getattr(result, section).items():
            if (section, key) in _BY_ARM:
                continue
            where = f" of {run.task}" if (section, key) == ("fingerprints", "data") else ""
            kind = " fingerprint" if section == "fingerprints" else ""
            yield f"{'package ' if section == 'packages' else ''}{key}{kind}{where}", str(value)
    if (score := result.text_metric) is not None:
        yield f"{score.name} of {run.task}", f"{score.signature}, {score.texts} texts"
    if (weights := result.checkpoint) is not None:
        yield "checkpoint", f"{weights.family}, sha256 {weights.sha256[:12]}"
        yield f"weights of {run.arm}", _describe_weights(weights)
    yield "git revision", result.git or "not in a repository"


def _describe_weights(weights: InitialWeights) -> str:
    """Describes what became of the weights of the checkpoint that a run started from."""
    ways = [f"{name} ({how})" for name, how in weights.converted.items()]
    changed = {"converted": ways, "new": weights.new, "left behind": weights.left}
    changes = [f"{what}: {', '.join(names)}" for what, names in changed.items() if names]
    return "; ".join(["all others kept", *changes]) if changes else "all kept"


def format_training_time(runs: Sequence[Run]) -> str:
    """Formats the total training time of the finished runs."""
    return format_duration(sum(run.seconds for run in runs))


def format_energy(runs: Sequence[Run]) -> str:
    """Formats the total energy of the finished runs that report it, and their number; empty if none does."""
    known = [run.result.energy_joules for run in runs if run.result and run.result.energy_joules]
    if not known:
        return ""
    done = sum(run.result is not None for run in runs)
    return f"{sum(known) / 3.6e6:.3g}\N{NO-BREAK SPACE}kWh" + (
        f" (reported by {len(known)} of {done} runs)" if len(known) < done else ""
    )


def get_start_time(runs: Sequence[Run]) -> str:
    """Returns the start time of the first finished run; empty if no run has one."""
    times = [run.result.started for run in runs if run.result and run.result.started]
    return min(times).isoformat(timespec="seconds") if times else ""


def list_warnings(runs: Sequence[Run]) -> list[str]:
    """Lists differences between runs that may distort a comparison, and files that could not be read."""
    return [
        *_warn_of_stale_results(runs),
        *_warn_of_mixed_facts(collect_facts(runs)),
        *_warn_of_differing_seeds(runs),
        *_warn_of_lost_text(runs),
        *_warn_of_unreadable_files(runs),
    ]


def _warn_of_stale_results(runs: Sequence[Run]) -> list[str]:
    stale = sum(run.stale for run in runs)
    used = any(run.stale and run.result is not None for run in drop_stale_results(runs))
    number = f"{stale} {'result was' if stale == 1 else 'results were'}"
    which = f"{number} computed with a different version of the code or data"
    fate = "all results in this report are stale" if used else "stale results are left out"
    return [f"{which}; {fate}. Run the study again."] if stale else []


def _warn_of_mixed_facts(known: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Warns of facts that should be the same in all runs but are not."""
    consequences = {
        "code fingerprint": "the runs used different code",
        "git revision": "the runs used different revisions",
        "torch": "results may differ because of the version alone",
        "processor": "tokens per second are not comparable",
        "cores": "tokens per second are not comparable",
    }
    mixed = [name for name, values in known.items() if len(values) > 1]
    reasons = {name: consequences.get(name) for name in mixed}
    reasons |= {name: "the runs used different versions of it" for name in mixed if name.startswith("package ")}
    reasons |= {name: "the runs used different data" for name in mixed if name.startswith("data fingerprint")}
    return [f"{len(known[name])} different values of {name}: {why}." for name, why in reasons.items() if why]


def _warn_of_differing_seeds(runs: Sequence[Run]) -> list[str]:
    """Warns of arms whose runs differ in more than the seed."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in runs:
        if run.config and not run.tuning:
            groups.setdefault((run.task, run.arm), []).append(flatten_to_text(run.config))
    apart = {where: find_differing_keys(configs) for where, configs in groups.items()}
    return [
        f"Runs of {arm} on {task} differ in more than the seed: {', '.join(keys)}."
        for (task, arm), keys in apart.items()
        if keys
    ]


def _warn_of_lost_text(runs: Sequence[Run]) -> list[str]:
    """Warns of tokenizers that lose text: text that is lost need not be predicted."""
    tasks = dict.fromkeys(run.task for run in runs)
    losses = [(task, each) for task in tasks for each in describe_lost_text([run for run in runs if run.task == task])]
    return [f"On {task}, {each}; bits per byte are withheld where validation text is lost." for task, each in losses]


def _warn_of_unreadable_files(runs: Sequence[Run]) -> list[str]:
    return [f"{run.arm} on {run.task}, seed {run.seed}: {note}." for run in runs for note in run.notes]
