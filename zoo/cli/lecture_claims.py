"""The claims of the lecture that the project grew out of, and the commands that show or test each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from zoo.inspect.languages import LANGUAGES
from zoo.system.installation import find_package_folder

Texts = Mapping[str, str]
"""A text in each language, by ``en`` and ``zh``."""


@dataclass(frozen=True)
class Claim:
    """A claim of the lecture.

    Attributes:
        number: its number in the lecture, from 1.
        title: what it is about.
        says: the claim in one sentence.
        study: name of the study that tests it; None if it is shown and not tested.
        reduced: arguments that make the study short.
        views: views of ``zoo inspect`` that show it.
        texts: texts that a model reads to show it, by language; empty without a page.
        vectors: words whose vectors the page adds to those of the texts, by language.
        verdict: ``holds``, ``does_not_hold`` or ``undecided`` at the size of the study; None without a finished study.
        answer: the verdict in one sentence.
    """

    number: int
    title: Texts
    says: Texts
    study: str | None
    reduced: tuple[str, ...]
    views: tuple[str, ...]
    texts: Mapping[str, Sequence[str]]
    vectors: Texts
    verdict: str | None
    answer: Texts | None


def read_claims() -> list[Claim]:
    """Reads the claims in the order of the lecture."""
    commands = _read("commands.yaml")["claims"]
    return [_build_claim(given, commands.get(given["number"], {})) for given in _read("claims.yaml")]


def read_model_overrides(language: str) -> list[str]:
    """Reads the overrides of the training whose model reads texts of a language."""
    return [str(line) for line in _read("commands.yaml")["models"][language]]


def _build_claim(given: Mapping[str, Any], commands: Mapping[str, Any]) -> Claim:
    verdict = given["verdict"] or {}
    return Claim(
        given["number"],
        given["title"],
        given["says"],
        None if given["study"] is None else f"lecture/{given['study']}",
        tuple(commands.get("reduced", ())),
        tuple(given["inspect"]),
        commands.get("texts", {}),
        commands.get("vectors", {}),
        verdict.get("value"),
        {name: verdict[name].strip() for name in LANGUAGES} if verdict else None,
    )


def _read(name: str) -> Any:
    return yaml.safe_load((find_package_folder("experiments") / "lecture" / name).read_text(encoding="utf8"))
