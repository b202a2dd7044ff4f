"""Command lines of ``zoo study`` with everything that their meaning depends on before a config is composed.

Importing this module loads neither torch nor Hydra.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zoo import limits
from zoo.checks import Refused
from zoo.study.cells.file_stamps import stamp_files
from zoo.study.plan.find_study import find_study
from zoo.system.input_files import read_bytes
from zoo.system.installation import compute_installation_digest
from zoo.system.processes import identify_machine

_KNOWN_INTERPOLATIONS = re.compile(r"\$\{(?:[\w.]+|oc\.env:(\w+)(?:,[^${}]*)?)\}")
"""Interpolations whose value is covered by the key: other keys of the config, and environment variables."""


@dataclass(frozen=True)
class StudyRequest:
    """A command line, and everything that its meaning depends on before a config is composed.

    Attributes:
        words: Arguments of ``zoo study`` that choose the runs.
        key: Everything that the meaning of the words depends on, as JSON types.
        stamp: Stamp of the study file, if there is one.
        runs: Folder of all runs, as far as it can be known without composing a config.
    """

    words: tuple[str, ...]
    key: Mapping[str, Any]
    stamp: list[Any] | None
    runs: Path

    @classmethod
    def read(cls, words: Sequence[str]) -> StudyRequest | None:
        """Returns the request in its current meaning; None if that depends on something unknown here."""
        try:
            names = [word for word in words if "=" not in word and word[:1] not in "~-"]
            file = find_study(names[0]) if names else None
            stamp, content = (stamp_files(file), read_bytes(file, limits.YAML_BYTES)) if file else (None, b"")
            text = content.decode()
        except (Refused, OSError, UnicodeDecodeError):  # reported when the study is loaded
            return None
        everything = "\n".join([text, *words])
        if "${" in _KNOWN_INTERPOLATIONS.sub("", everything):
            return None
        variables = {*_KNOWN_INTERPOLATIONS.findall(everything)} - {""}
        variables |= {"CUDA_VISIBLE_DEVICES", *(name for name in os.environ if name.startswith("ZOO_"))}
        key = {
            "words": list(words),
            "file": hashlib.sha256(content).hexdigest(),
            "folder": os.getcwd(),
            "installation": compute_installation_digest(),
            "machine": [identify_machine(), *sorted(glob.glob("/dev/nvidia*"))],
            "environment": {name: os.environ.get(name) for name in sorted(variables)},
        }
        return cls(tuple(words), key, stamp, _find_runs_folder(words, text))

    @property
    def path(self) -> Path:
        """File of the snapshot of this request."""
        digest = hashlib.sha256(repr((self.words, self.key["folder"])).encode()).hexdigest()
        return self.runs / "reports" / ".cells" / f"{digest[:16]}.json"


def _find_runs_folder(words: Sequence[str], text: str) -> Path:
    """Returns the folder of runs given on the command line, or else in the study file for all arms, or the default."""
    for word in reversed(words):
        if word.startswith("runs="):
            return Path(word.removeprefix("runs="))
    try:
        loaded = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return Path(str(loaded["overrides"].get("runs", "runs")))
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError):
        return Path("runs")
