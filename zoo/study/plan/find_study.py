"""Finds the file of a study; importing this module loads neither torch nor Hydra."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.checks import Refused, suggest
from zoo.system.installation import find_package_folder


class UnknownStudy(Refused):
    """The error for a name that is neither a study nor a file or folder of one.

    Args:
        name: the name that was given.
        hint: the names of studies.
    """

    def __init__(self, name: str, hint: str) -> None:
        super().__init__(f"unknown study {name!r}: {hint}")
        self.name, self.hint = name, hint


def list_studies() -> list[str]:
    """Lists the names of the studies in ``experiments/``; those in a folder of it as ``folder/name``."""
    folder = find_package_folder("experiments")
    return sorted(path.parent.relative_to(folder).as_posix() for path in folder.rglob("study.yaml"))


def find_study(name: str) -> Path:
    """Returns the ``study.yaml`` of a study, given by its name, folder, or file.

    Raises:
        UnknownStudy: If there is none; with the names of studies.
    """
    for path in (Path(name), Path(name) / "study.yaml", find_package_folder("experiments") / name / "study.yaml"):
        if os.path.exists(path) and not path.is_dir():  # os.path.exists is False for names that no file can have
            return path
    raise UnknownStudy(name, suggest(name, list_studies()))
