"""The models of ``make story`` and ``make story-zh``, trained for two steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FEW = "steps=2 evaluate=2 data.texts=300 model.dim=32 model.hidden=32 trainer=cpu"


@pytest.mark.parametrize(("target", "prompt"), [("story", "A fluffy blue creature"), ("story-zh", "她每天")])
def test_a_story_model_is_trained_and_asked_for_three_texts(target: str, prompt: str, tmp_path: Path):
    given = [f"BIN={Path(sys.executable).parent}", f"MODELS={tmp_path}", f"OVERRIDES={FEW} cache={tmp_path}/cache"]
    command = ["make", "--old-file", ".venv/installed", target, *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (tmp_path / target).is_dir()
    assert done.stdout.count(prompt) >= 3
