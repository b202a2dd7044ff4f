"""The commands of docs/clusters.md that need a cluster: each is composed, and its launcher made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import MethodType

import pytest

from tests.command import zoo
from tests.launchers.test_launchers import EXTRAS
from tests.test_docs import blocks, commands

pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason=EXTRAS)
pytest.importorskip("ray", reason=EXTRAS)

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"
COMMANDS = [words for block in blocks(PAGE) if block.language == "shell" for words in commands(block.body)]


def test_there_are_commands() -> None:
    chosen = {word for words in COMMANDS for word in words if word.startswith("hydra/launcher=")}
    assert chosen == {"hydra/launcher=submitit_slurm", "hydra/launcher=ray"}
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_are_understood(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to where cells would be launched, by the launcher that is named."""
    made = []

    def instead(study: str, arguments: Sequence[str], launch: MethodType, **further: object) -> int:
        made.append(type(launch.__self__._launcher).__name__)
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zoo.study.run_study.run_study", instead)
    code, _, err = zoo(*words)
    assert code == 0, err
    assert made == ["RayLauncher" if "hydra/launcher=ray" in words else "SlurmLauncher"]


def test_options_that_the_page_names_are_those_of_the_launcher() -> None:
    from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf

    table = PAGE.read_text(encoding="utf8").split("| option of `hydra.launcher` | meaning |")[1].split("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert len(named) >= 10
    assert named <= set(SlurmQueueConf.__dataclass_fields__)
    assert f"**{SlurmQueueConf.timeout_min} by default**" in table
    assert f"runs at a time; {SlurmQueueConf.array_parallelism} by default |" in table
