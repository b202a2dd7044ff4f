"""Studies given on the command line: a whole study, or changes to a study file."""

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
from zoo.runs.flat_configs import shorten_keys
from zoo.study.plan.designs import BASELINE
from zoo.study.plan.find_study import find_study
from zoo.study.plan.parse_yaml import parse_value
from zoo.study.plan.request_words import list_request_words
from zoo.study.plan.study_file import PLANS, SECTIONS, STUDY_OPTIONS

KEYS = frozenset((*(option.name for option in STUDY_OPTIONS), *SECTIONS, "metrics", "margin", "name"))
"""Keys that concern the study; all others are overrides of its runs."""
_TEXT_KEYS = ("question", "expected", "baseline", "name", "where")
_METRICS_BY_FORM = {"pairs": ["target_nll", "exact_match"], "documents": ["loss"]}
_KEYS_OUTSIDE_NAME = ("seeds", "max_seeds", "question", "expected", "metrics", "margin", "name")


def parse_study_command(
    words: Sequence[str], allowed: Sequence[str] = (), request: Sequence[str] | None = None
) -> tuple[str, list[str]]:
    """Parses the arguments of ``zoo study``, without flags and settings of Hydra.

    Args:
        words: Name of a study or none, keys of a study, and overrides.
        allowed: Modules whose classes and functions a study file may name.
        request: Request of the plan; see :class:`zoo.study.plan.study_plan.StudyPlan`.
    Returns:
        The study as :func:`zoo.study.plan.study_file.parse_plan` takes it, and the overrides that come last in all
        runs.

    Raises:
        Refused: If the words give no study, or one cannot be parsed.
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
        raise Refused(
            f"give the name of a study, or one of {', '.join(f'{kind}={{…}}' for kind in PLANS)}: got neither"
        )
    found["words"] += [f"--allow-target={module}" for module in allowed]
    found["request"] = request
    found["allowed"] = [*allowed, *_find_word_targets([word for word in words if word not in names])]
    return json.dumps(found).replace("$", r"\u0024"), rest  # or Hydra would resolve interpolations


def resolve_study(words: Sequence[str], allowed: Sequence[str], flags: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Parses the arguments of ``zoo study``, and checks that the overrides can be applied.

    Args:
        words: Name of a study or none, keys of a study, and overrides of its runs.
        allowed: Modules whose classes and functions a study file may name.
        flags: Flags of Hydra on the same command line.
    Returns:
        The study as :func:`zoo.study.cells.load_plan.load_plan` takes it, and the overrides that come last in all runs.

    Raises:
        Refused: If the words give no study, or an override cannot be applied.
    """
    study, further = parse_study_command(words, allowed, list_request_words(words, allowed, flags))
    refuse_unknown_overrides(further)
    return study, further


def build_study_override(study: str) -> str:
    """Returns the override that passes the study to the sweeper."""
    return format_override("hydra.sweeper.study", study)


def _find_word_targets(words: Sequence[str]) -> list[str]:
    """Finds the targets that the command line itself names."""
    found: list[str] = []
    for word in words:
        key, _, text = word.partition("=")
        if "_target_" in word:
            found += (str(target) for _, target in find_targets({key.lstrip("+"): parse_value(key, text)}))
    return found


def _select_study_words(words: Sequence[str], given: Mapping[str, Any]) -> list[str]:
    return [word for word in words if word.partition("=")[0] in given]


def split_keys(words: Sequence[str], keys: Container[str] = KEYS) -> tuple[dict[str, Any], list[str]]:
    """Splits words into keys of a study with their values, and the other words.

    Raises:
        Refused: If a key is given twice, or its value cannot be parsed.
    """
    found: dict[str, Any] = {}
    rest = []
    for word in words:
        key, _, text = word.partition("=")
        if key not in keys:
            rest.append(word)
            continue
        if key in found:
            raise Refused(f"{key}: is given twice: got {word}")
        found[key] = _parse_value(key, text)
    return found, rest


def _parse_value(key: str, text: str) -> Any:
    if key in _TEXT_KEYS and not (key == "where" and text.lstrip().startswith("[")):
        return None if (key, text) == ("baseline", "null") else text
    value = parse_value(key, text)
    return [value] if key == "metrics" and isinstance(value, str) else value


# ------------------------------------------------------------------------------------------------- without a file


def _build_study(given: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Completes a study without a file: a task named after its data, and a baseline without overrides."""
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
            raise Refused(f"{key}: must be given in each task if tasks are given: got {key}={given[key]}")
    kind = next(kind for kind in PLANS if kind in given)
    parts = _list_varied_parts(kind, given[kind])
    identity = {**{key: what for key, what in given.items() if key not in _KEYS_OUTSIDE_NAME}, "on": found["overrides"]}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:6]
    slug = re.sub(r"\W+", "-", "-".join([*parts, "on", data]).lower()).strip("-")
    found.setdefault("name", f"{slug if len(slug) <= 48 else slug[:48].rstrip('-')}-{digest}")
    found.setdefault("question", f"{_ask_question(kind, parts)} on {data}?")
    return found


def _parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Returns overrides as a mapping, as in a study file."""
    found = {}
    for word in words:
        parsed = parse_word(word)
        if parsed.is_sweep_override():
            key, _, values = word.partition("=")
            hint = f"to compare several, use grid={{{key}: [{values}]}}"
            raise Refused(f"{key}: must have one value in a study: got {values}; {hint}")
        found[parsed.get_key_element()] = parsed.value()
    return found


def _find_data_form(overrides: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the name of the data and the form of its rows; placeholders if these cannot be composed."""
    try:
        given = compose_run([format_override(key, value) for key, value in overrides.items()])
        name = str(given["data"]["name"])
        return name, str(get_index().get("data", name).load().form)  # type: ignore[attr-defined]
    except (Refused, KeyError, TypeError):
        return "data", "documents"


def _list_varied_parts(kind: str, given: Any) -> list[str]:
    """Lists the names of what the plan varies."""
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
