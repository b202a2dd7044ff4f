"""A study as a command line asks for it: all of it, or what differs from a file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from zoo.checks import Refused
from zoo.config.compose import compose_run
from zoo.config.format_override import format_override
from zoo.config.hydra_overrides import refuse_unknown_overrides
from zoo.config.overrides import parse_word
from zoo.config.targets import find_targets
from zoo.registry import get_index
from zoo.report.records.flat_configs import shorten_keys
from zoo.study.plan.designs import BASELINE
from zoo.study.plan.find_study import find_study
from zoo.study.plan.parse_yaml import parse_value
from zoo.study.plan.request_words import list_request_words
from zoo.study.plan.study_file import PLANS, SECTIONS, STUDY_OPTIONS

KEYS = frozenset((*(option.name for option in STUDY_OPTIONS), *SECTIONS, "metrics", "margin", "name"))
"""Words that are about the study; all others are overrides of its runs."""
_TEXT_KEYS = ("question", "expected", "baseline", "name", "where")
_METRICS_BY_FORM = {"pairs": ["target_nll", "exact_match"], "documents": ["loss"]}
_KEYS_OUTSIDE_NAME = ("seeds", "max_seeds", "question", "expected", "metrics", "margin", "name")


def parse_study_command(
    words: Sequence[str], allowed: Sequence[str] = (), request: Sequence[str] | None = None
) -> tuple[str, list[str]]:
    """What the words after ``zoo study`` ask for, flags and what is Hydra's taken away.

    Args:
        words: the name of a study or none, keys of a study, and overrides.
        allowed: modules whose classes and functions a study file may name.
        request: that of the plan; see :class:`zoo.study.plan.study_file.StudyPlan`.
    Returns:
        the study as :func:`zoo.study.plan.study_file.parse_plan` takes it, and the overrides that come last in all
        runs.

    Raises:
        Refused: if it is no study, or a word cannot be read.
    """
    names = [word for word in words if "=" not in word and not word.startswith("~")]
    if len(names) > 1:
        raise Refused(f"one study at a time: got {', '.join(names)}")
    given, rest = split_keys([word for word in words if word not in names])
    if names:
        found = {**given, "from": str(find_study(names[0])), "words": [names[0], *_select_study_words(words, given)]}
    elif any(kind in given for kind in PLANS):
        further = [word for word in rest if word.startswith("threads=")]
        own = [word for word in rest if word not in further]
        found, rest = {**_build_study(given, own), "words": [word for word in words if word not in further]}, further
    else:
        raise Refused(f"name a study, or ask for one with {', '.join(f'{kind}={{…}}' for kind in PLANS)}: got neither")
    found["words"] += [f"--allow-target={module}" for module in allowed]
    found["request"] = request
    found["allowed"] = [*allowed, *_find_word_targets([word for word in words if word not in names])]
    return json.dumps(found).replace("$", r"\u0024"), rest  # or Hydra would resolve it


def resolve_study(words: Sequence[str], allowed: Sequence[str], flags: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Reads the study that a command line gives.

    Args:
        words: the name of a study or none, keys of a study, and overrides of its runs.
        allowed: modules whose classes and functions a study file may name.
        flags: flags of Hydra on the same line.
    Returns:
        the study as :func:`zoo.study.cells.load_plan.load_plan` takes it, and the overrides that come last in all runs.

    Raises:
        Refused: if it is no study, or an override cannot be applied.
    """
    study, further = parse_study_command(words, allowed, list_request_words(words, allowed, flags))
    refuse_unknown_overrides(further)
    return study, further


def build_study_override(study: str) -> str:
    """What tells the sweeper the study."""
    return format_override("hydra.sweeper.study", study)


def _find_word_targets(words: Sequence[str]) -> list[str]:
    """Targets that the command line itself names."""
    found: list[str] = []
    for word in words:
        key, _, text = word.partition("=")
        if "_target_" in word:
            found += (str(target) for _, target in find_targets({key.lstrip("+"): parse_value(key, text)}))
    return found


def _select_study_words(words: Sequence[str], given: Mapping[str, Any]) -> list[str]:
    return [word for word in words if word.partition("=")[0] in given]


def split_keys(words: Sequence[str], keys: Container[str] = KEYS) -> tuple[dict[str, Any], list[str]]:
    """Keys of a study with their values, and the words that are left.

    Raises:
        Refused: if a key stands twice, or its value cannot be read.
    """
    found: dict[str, Any] = {}
    rest = []
    for word in words:
        key, _, text = word.partition("=")
        if key not in keys:
            rest.append(word)
            continue
        if key in found:
            raise Refused(f"{key}: stands twice: got {word}")
        found[key] = _parse_value(key, text)
    return found, rest


def _parse_value(key: str, text: str) -> Any:
    if key in _TEXT_KEYS and not (key == "where" and text.lstrip().startswith("[")):
        return None if (key, text) == ("baseline", "null") else text
    value = parse_value(key, text)
    return [value] if key == "metrics" and isinstance(value, str) else value


# ------------------------------------------------------------------------------------------------- without a file


def _build_study(given: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """A study that no file tells of: one task, named by its data; arms, against one without overrides."""
    found = dict(given)
    found["overrides"] = {**_parse_overrides(words), **(given.get("overrides") or {})}
    arms = given.get("arms")
    if isinstance(arms, Mapping) and "baseline" not in given:
        found["arms"] = {BASELINE: {}, **arms}
        found["baseline"] = BASELINE
    data, form = _find_data_form(found["overrides"])
    if "tasks" not in given:
        task = {key: found.pop(key) for key in ("metrics", "margin") if key in found}
        found["tasks"] = {data: {"metrics": _METRICS_BY_FORM[form], **task}}
    else:
        for key in (key for key in ("metrics", "margin") if key in given):
            raise Refused(f"{key}: belongs to a task where tasks are given: got {key}={given[key]}")
    kind = next(kind for kind in PLANS if kind in given)
    parts = _list_varied_parts(kind, given[kind])
    told = {**{key: what for key, what in given.items() if key not in _KEYS_OUTSIDE_NAME}, "on": found["overrides"]}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:6]
    slug = re.sub(r"\W+", "-", "-".join([*parts, "on", data]).lower()).strip("-")
    found.setdefault("name", f"{slug if len(slug) <= 48 else slug[:48].rstrip('-')}-{digest}")
    found.setdefault("question", f"{_ask_question(kind, parts)} on {data}?")
    return found


def _parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Overrides as a study writes them."""
    found = {}
    for word in words:
        parsed = parse_word(word)
        if parsed.is_sweep_override():
            key, _, values = word.partition("=")
            raise Refused(f"{key}: a study takes one value: got {values}; for all of them, grid={{{key}: [{values}]}}")
        found[parsed.get_key_element()] = parsed.value()
    return found


def _find_data_form(overrides: Mapping[str, Any]) -> tuple[str, str]:
    """The name of the data and the form of its rows; what is wrong with it is told with all else."""
    try:
        given = compose_run([format_override(key, value) for key, value in overrides.items()])
        name = str(given["data"]["name"])
        return name, str(get_index().get("data", name).load().form)  # type: ignore[attr-defined]
    except (Refused, KeyError, TypeError):
        return "data", "documents"


def _list_varied_parts(kind: str, given: Any) -> list[str]:
    """What the plan varies, in words."""
    if not isinstance(given, Mapping):
        return [kind]
    if kind == "path":
        return [str(given.get("from")), "to", str(given.get("to"))]
    if kind == "grid":
        return list(shorten_keys(str(key).lstrip("+").replace("/", ".") for key in given).values())
    return [str(key) for key in given if key != BASELINE]


def _ask_question(kind: str, parts: Sequence[str]) -> str:
    every = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
    match kind:
        case "grid":
            return f"Which {every} {'are' if len(parts) > 1 else 'is'} best"
        case "one_at_a_time":
            return f"Which of {every} help, alone and together,"
        case "pairs":
            return f"Does what {parts[0]} does depend on {parts[-1]}"
        case "path":
            return f"Which steps from {parts[0]} to {parts[-1]} matter"
    return f"{'Do' if len(parts) > 1 else 'Does'} {every} differ from the baseline"
